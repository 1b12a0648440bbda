// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * box.c - one sandbox: a cgroup, the links that attach the programs to it, and its maps.
 *
 * How a box comes into force. Its slot is a directory in bpffs (mkdir is atomic, so it is also the
 * allocation). The inner maps are made and put into the outer ones; then every program is attached
 * to the empty cgroup by a pinned link; and last, one write fills the cgroup's struct sp_attach.
 * Until that write the storage is zero and the programs deny everything, so a process that got in
 * early has nothing. Any failure takes all of it back.
 *
 * How it ends. Its owner holds a lock on SP_RUN_DIR/box-<slot>-..., which the kernel drops when the
 * owner dies, however it dies. The links are pinned, so enforcement goes on as long as there are
 * processes; when there are none, the next start (sp_engine_collect()) takes the rest away.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sallyport/events.h>

#include "engine.h"
#include "inject.h"
#include "parse/name.h"
#include "sockdiag.h"
#include "walk.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14 */
#endif

#define OUTERS (SP_MAPS - SP_MAP_FIRST_OUTER)

#define RING_EVENTS (128u << 10)
/* How long events may lie in their ring: it holds a thousand, more than come in this time. */
#define EVENTS_WAIT_NS 1000000
#define RING_REQUESTS (32u << 10)

struct sp_box {
	struct sp_engine *engine;
	const struct sp_policy *policy;
	uint32_t slot;
	bool has_slot;
	int cgroup_fd;
	char cgroup[PATH_MAX];
	uint64_t cgroup_id;
	int owner_fd; /* the locked file that says whose box this is */
	char owner[PATH_MAX];
	int inner[OUTERS]; /* inner maps not yet in their outer ones; -1: none */
	struct ring_buffer *requests, *events;
	int epoll;		      /* of both rings and the timer; what sp_box_fd() gives */
	int timer;		      /* runs while events wait to be taken (EVENTS_WAIT_NS) */
	struct sp_injector *injector; /* NULL: denied queries fail instead of being answered */
	struct sp_sockdiag *diag;     /* NULL: denied connections time out soon instead */
	void (*each)(const struct sp_event *event, void *data); /* during dispatch */
	void *data;
	int count;
};

/* ---- slots ---------------------------------------------------------------------------------- */

/* Removes the pinned links of a slot; `dir` is the slot's. */
static void unlink_links(const char *dir)
{
	char path[PATH_MAX + 64];

	for (int i = 0; i < SP_PROGRAMS; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, sp_programs[i].name);
		unlink(path);
	}
}

static void slot_dir(const struct sp_engine *e, uint32_t slot, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s/boxes/%u", PATH_MAX - 32, e->dir, slot);
}

/*
 * After each change of an outer map the kernel waits until no program can hold the old inner map
 * (an RCU grace period, many milliseconds). The changes are independent, so the waits are made at
 * the same time, a thread each: the whole of a box's maps costs about one of them.
 */
struct outer_change {
	pthread_t thread;
	int outer, inner; /* inner -1: delete */
	uint32_t slot;
	int result; /* 0 or -errno */
	bool started;
};

static void *change_outer(void *data)
{
	struct outer_change *c = data;

	if (c->inner < 0) {
		c->result = bpf_map_delete_elem(c->outer, &c->slot);
		if (c->result == -ENOENT)
			c->result = 0;
	} else
		c->result = bpf_map_update_elem(c->outer, &c->slot, &c->inner, BPF_ANY);
	return NULL;
}

/* Installs (or with `inner` NULL, deletes) the slot's entry of every outer map. First error. */
static int change_outers(struct sp_engine *e, uint32_t slot, const int *inner)
{
	struct outer_change changes[OUTERS] = {0};
	int r = 0;

	for (int i = 0; i < OUTERS; i++) {
		struct outer_change *c = &changes[i];

		c->outer = e->maps[SP_MAP_FIRST_OUTER + i];
		c->inner = inner ? inner[i] : -1;
		c->slot = slot;
		if (inner && inner[i] < 0) {
			c->result = -EBADF; /* a map that somebody forgot to make */
			continue;
		}
		c->started = pthread_create(&c->thread, NULL, change_outer, c) == 0;
		if (!c->started)
			change_outer(c);
	}
	for (int i = 0; i < OUTERS; i++) {
		if (changes[i].started)
			pthread_join(changes[i].thread, NULL);
		if (r == 0)
			r = changes[i].result;
	}
	return r;
}

void sp_slot_clear(struct sp_engine *e, uint32_t slot)
{
	static const struct sp_policy_conf no_policy;
	char dir[PATH_MAX];

	slot_dir(e, slot, dir, sizeof(dir));
	unlink_links(dir);
	if (change_outers(e, slot, NULL) < 0)
		return; /* not free: a slot without programs is cleared again by the next start */
	bpf_map_update_elem(e->maps[SP_MAP_POLICIES], &slot, &no_policy, BPF_ANY);
	memset(&e->sandboxes[slot], 0, sizeof(e->sandboxes[slot]));
	rmdir(dir); /* last: now the slot is free */
}

static int slot_take(struct sp_box *b, struct sp_error **err)
{
	char dir[PATH_MAX];

	for (uint32_t i = 0; i < SP_SANDBOXES_MAX; i++) {
		slot_dir(b->engine, i, dir, sizeof(dir));
		if (mkdir(dir, 0700) == 0) {
			b->slot = i;
			b->has_slot = true;
			return 0;
		}
		if (errno != EEXIST)
			return sp_error_set(err, -errno, "cannot make %s: %s", dir,
					    strerror(errno));
	}
	return sp_error_set(err, -ENOSPC, "there are already %u sandboxes on this host",
			    SP_SANDBOXES_MAX);
}

/* ---- maps ----------------------------------------------------------------------------------- */

static int no_map(struct sp_error **err, const char *what)
{
	return sp_error_set(err, -errno, "cannot make the map of %s: %s", what, strerror(errno));
}

/* Takes an inner map for one of the outer ones; install_inner() puts them all in. */
static int install(struct sp_box *b, enum sp_map outer, int fd, const char *what,
		   struct sp_error **err)
{
	if (fd < 0)
		return no_map(err, what);
	b->inner[outer - SP_MAP_FIRST_OUTER] = fd;
	return 0;
}

static void close_inner(struct sp_box *b)
{
	for (int i = 0; i < OUTERS; i++) {
		if (b->inner[i] >= 0)
			close(b->inner[i]);
		b->inner[i] = -1;
	}
}

/* Puts all inner maps into their outer ones, which hold them from then on. */
static int install_inner(struct sp_box *b, struct sp_error **err)
{
	int r = change_outers(b->engine, b->slot, b->inner);

	close_inner(b);
	return r < 0 ? sp_error_set(err, r, "cannot install the sandbox's maps: %s", strerror(-r))
		     : 0;
}

/* An array filled through mmap, then frozen: nobody changes a policy that is in force. */
static int install_array(struct sp_box *b, enum sp_map outer, const void *data, uint32_t entries,
			 uint32_t size, const char *what, struct sp_error **err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE | BPF_F_INNER_MAP);
	size_t bytes = (size_t)entries * size;
	void *mapped;
	int fd;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, sizeof(uint32_t), size, entries ? entries : 1,
			    &opts);
	if (fd < 0)
		return no_map(err, what);
	if (bytes) {
		mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (mapped == MAP_FAILED) {
			close(fd);
			return no_map(err, what);
		}
		memcpy(mapped, data, bytes);
		munmap(mapped, bytes);
	}
	if (bpf_map_freeze(fd) < 0) {
		close(fd);
		return no_map(err, what);
	}
	return install(b, outer, fd, what, err);
}

static int install_trie(struct sp_box *b, enum sp_map outer, const void *data, uint32_t entries,
			uint32_t key_size, uint32_t entry_size, const char *what,
			struct sp_error **err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	const uint8_t *p = data;
	int fd, r;

	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, NULL, key_size, sizeof(uint32_t),
			    entries ? entries : 1, &opts);
	if (fd < 0)
		return no_map(err, what);
	for (uint32_t i = 0; i < entries; i++, p += entry_size) {
		r = bpf_map_update_elem(fd, p, p + key_size, BPF_ANY);
		if (r < 0) {
			close(fd);
			return sp_error_set(err, r, "cannot fill the map of %s: %s", what,
					    strerror(-r));
		}
	}
	return install(b, outer, fd, what, err);
}

static int install_hash(struct sp_box *b, enum sp_map outer, uint32_t key_size, uint32_t value_size,
			uint32_t entries, const char *what, struct sp_error **err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

	return install(
		b, outer,
		bpf_map_create(BPF_MAP_TYPE_HASH, NULL, key_size, value_size, entries, &opts), what,
		err);
}

static int install_policy(struct sp_box *b, const struct sp_image *image, struct sp_error **err)
{
	int r;

	r = install_array(b, SP_MAP_POLICY_BUCKETS, image->buckets, image->buckets_len,
			  sizeof(*image->buckets), "names", err);
	if (r == 0)
		r = install_array(b, SP_MAP_POLICY_NODES, image->nodes, image->nodes_len,
				  sizeof(*image->nodes), "suffixes", err);
	if (r == 0)
		r = install_array(b, SP_MAP_POLICY_ACLS, image->acls, image->acls_len,
				  sizeof(*image->acls), "rule lists", err);
	if (r == 0)
		r = install_array(b, SP_MAP_POLICY_ENTRIES, image->entries, image->entries_len,
				  sizeof(*image->entries), "rules", err);
	if (r == 0)
		r = install_trie(b, SP_MAP_POLICY_CIDR4, image->cidr4, image->cidr4_len,
				 sizeof(struct sp_cidr4), sizeof(*image->cidr4), "IPv4 networks",
				 err);
	if (r == 0)
		r = install_trie(b, SP_MAP_POLICY_CIDR6, image->cidr6, image->cidr6_len,
				 sizeof(struct sp_cidr6), sizeof(*image->cidr6), "IPv6 networks",
				 err);
	if (r == 0) {
		r = bpf_map_update_elem(b->engine->maps[SP_MAP_POLICIES], &b->slot, &image->conf,
					BPF_ANY);
		if (r < 0)
			sp_error_set(err, r, "cannot write the policy: %s", strerror(-r));
	}
	return r;
}

static int on_event(void *data, void *record, size_t size);
static int on_request(void *data, void *record, size_t size);

/* The events ring is watched for one wake-up at a time: wait_for_events() is called again. */
static int wait_for_events(struct sp_box *b, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = b->events};

	return epoll_ctl(b->epoll, operation, ring_buffer__epoll_fd(b->events), &event);
}

static int watch_rings(struct sp_box *b)
{
	struct epoll_event request = {.events = EPOLLIN, .data.ptr = b->requests};
	struct epoll_event timer = {.events = EPOLLIN, .data.ptr = &b->timer};

	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (b->epoll < 0 || b->timer < 0 ||
	    epoll_ctl(b->epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(b->requests), &request) < 0 ||
	    epoll_ctl(b->epoll, EPOLL_CTL_ADD, b->timer, &timer) < 0)
		return -1;
	return wait_for_events(b, EPOLL_CTL_ADD);
}

static int install_rings(struct sp_box *b, struct sp_error **err)
{
	int events, requests, r;

	events = bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, RING_EVENTS, NULL);
	if (events < 0)
		return no_map(err, "events");
	requests = bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, RING_REQUESTS, NULL);
	if (requests < 0) {
		r = no_map(err, "requests");
		close(events);
		return r;
	}
	b->requests = ring_buffer__new(requests, on_request, b, NULL);
	b->events = ring_buffer__new(events, on_event, b, NULL);
	if (!b->requests || !b->events || watch_rings(b) < 0) {
		r = sp_error_set(err, -ENOMEM, "cannot read the rings: %s", strerror(errno));
		close(events);
		close(requests);
		return r;
	}
	install(b, SP_MAP_EVENTS, events, "events", err);
	return install(b, SP_MAP_REQUESTS, requests, "requests", err);
}

static int install_state(struct sp_box *b, struct sp_error **err)
{
	int r;

	r = install_hash(b, SP_MAP_LEARNED_ADDRS, sizeof(struct sp_addr), sizeof(struct sp_learned),
			 SP_LEARNED_ADDRS_MAX, "learned addresses", err);
	if (r == 0)
		r = install_hash(b, SP_MAP_LEARNED_PAIRS, sizeof(struct sp_pair),
				 sizeof(struct sp_pair_value), SP_LEARNED_PAIRS_MAX,
				 "learned pairs", err);
	if (r == 0)
		r = install_hash(b, SP_MAP_LEARNED_NAMES, sizeof(uint64_t),
				 sizeof(struct sp_name_text), SP_LEARNED_NAMES_MAX, "learned names",
				 err);
	if (r == 0)
		r = install_hash(b, SP_MAP_PENDING, sizeof(struct sp_pending_key),
				 sizeof(struct sp_pending), SP_PENDING_MAX, "pending queries", err);
	return r == 0 ? install_rings(b, err) : r;
}

/* ---- dns.static ----------------------------------------------------------------------------- */

struct static_fill {
	struct sp_box *box;
	const struct sp_image *image;
	int pairs, addrs, names;
};

static int learn_static(const char *name, const uint8_t addr[16], void *data)
{
	struct static_fill *f = data;
	struct sp_tables t = {.image = f->image};
	struct sp_name n = {.seed = {f->box->engine->host.seed[0], f->box->engine->host.seed[1]}};
	struct sp_pair_value v = {.expires = UINT64_MAX, .generation = f->image->conf.generation};
	struct sp_name_text text = {.expires = UINT64_MAX};
	struct sp_learned learned = {0};
	struct sp_pair k;
	size_t len = strlen(name);

	if (len >= SP_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(n.wire + 1, name, len);
	if (sp_name_from_text(&n, len) != SP_DONE)
		return -EINVAL;
	memcpy(k.addr, addr, 16);
	k.name = n.hash[0];
	v.acl = sp_walk_name(&t, &f->image->conf, &n);
	text.len = n.len;
	memcpy(text.wire, n.wire, sizeof(text.wire));
	bpf_map_lookup_elem(f->addrs, addr, &learned);
	for (int i = 0; i < SP_LEARNED_PER_ADDR; i++) {
		if (learned.names[i].expires)
			continue;
		learned.names[i] = (struct sp_learned_name){.name = k.name,
							    .expires = UINT64_MAX,
							    .acl = v.acl,
							    .generation = v.generation};
		break;
	}
	if (bpf_map_update_elem(f->pairs, &k, &v, BPF_ANY) < 0 ||
	    bpf_map_update_elem(f->addrs, addr, &learned, BPF_ANY) < 0 ||
	    bpf_map_update_elem(f->names, &k.name, &text, BPF_ANY) < 0)
		return -errno;
	return 0;
}

static int install_static(struct sp_box *b, const struct sp_image *image, struct sp_error **err)
{
	struct static_fill f = {
		.box = b,
		.image = image,
		.pairs = b->inner[SP_MAP_LEARNED_PAIRS - SP_MAP_FIRST_OUTER],
		.addrs = b->inner[SP_MAP_LEARNED_ADDRS - SP_MAP_FIRST_OUTER],
		.names = b->inner[SP_MAP_LEARNED_NAMES - SP_MAP_FIRST_OUTER],
	};
	int r = sp_policy_static(b->policy, learn_static, &f);

	return r < 0 ? sp_error_set(err, r, "cannot learn dns.static: %s", strerror(-r)) : 0;
}

/* ---- cgroup --------------------------------------------------------------------------------- */

static int name_cgroup(struct sp_box *b, struct sp_error **err)
{
	if (snprintf(b->cgroup, sizeof(b->cgroup), "%s/sallyport-%u-%d", b->engine->paths.current,
		     b->slot, (int)getpid()) < (int)sizeof(b->cgroup))
		return 0;
	b->cgroup[0] = 0;
	return sp_error_set(err, -ENAMETOOLONG, "the path of the cgroup is too long");
}

static int make_cgroup(struct sp_box *b, struct sp_error **err)
{
	struct stat st;

	if (mkdir(b->cgroup, 0755) < 0) {
		int r = -errno;

		sp_error_set(err, r, "cannot make the cgroup %s: %s", b->cgroup, strerror(-r));
		b->cgroup[0] = 0;
		return r;
	}
	b->cgroup_fd = open(b->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->cgroup_fd < 0 || fstat(b->cgroup_fd, &st) < 0)
		return sp_error_set(err, -errno, "cannot open the cgroup %s: %s", b->cgroup,
				    strerror(errno));
	b->cgroup_id = st.st_ino; /* kernfs: the inode number is the cgroup's id */
	return 0;
}

static int attach_all(struct sp_box *b, struct sp_error **err)
{
	char path[PATH_MAX + 64], dir[PATH_MAX];
	int link, r;

	slot_dir(b->engine, b->slot, dir, sizeof(dir));
	for (int i = 0; i < SP_PROGRAMS; i++) {
		if (b->engine->programs[i] < 0)
			continue;
		link = bpf_link_create(b->engine->programs[i], b->cgroup_fd,
				       sp_programs[i].attach_type, NULL);
		if (link < 0)
			return sp_error_set(err, -errno, "cannot attach %s to the cgroup: %s",
					    sp_programs[i].name, strerror(errno));
		snprintf(path, sizeof(path), "%s/%s", dir, sp_programs[i].name);
		r = bpf_obj_pin(link, path) < 0 ? -errno : 0;
		close(link);
		if (r < 0)
			return sp_error_set(err, r, "cannot pin %s: %s", path, strerror(-r));
	}
	return 0;
}

static int home_netns(__u64 *ret_cookie, struct sp_error **err)
{
	socklen_t len = sizeof(*ret_cookie);
	int fd, r = 0;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sp_error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len) < 0)
		r = sp_error_set(err, -errno,
				 "cannot tell the network namespace (SO_NETNS_COOKIE, Linux 5.14): "
				 "%s",
				 strerror(errno));
	close(fd);
	return r;
}

/* ---- owners and leftovers ------------------------------------------------------------------- */

/* "device of the pins, slot, cgroup" in a file that the owner keeps locked. */
static int own(struct sp_box *b, struct sp_error **err)
{
	struct stat st;

	if (stat(b->engine->dir, &st) < 0)
		return sp_error_set(err, -errno, "cannot stat %s: %s", b->engine->dir,
				    strerror(errno));
	snprintf(b->owner, sizeof(b->owner), SP_RUN_DIR "/box-%llx-%u-%d",
		 (unsigned long long)st.st_dev, b->slot, (int)getpid());
	b->owner_fd = open(b->owner, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (b->owner_fd < 0 || flock(b->owner_fd, LOCK_EX | LOCK_NB) < 0)
		return sp_error_set(err, -errno, "cannot lock %s: %s", b->owner, strerror(errno));
	if (dprintf(b->owner_fd, "%llu\n%u\n%s\n%s\n", (unsigned long long)st.st_dev, b->slot,
		    b->engine->dir, b->cgroup) < 0)
		return sp_error_set(err, -errno, "cannot write %s: %s", b->owner, strerror(errno));
	return 0;
}

/* Is a process left in the cgroup? 1, 0; 0 too if the cgroup is gone. */
static int cgroup_populated(const char *path)
{
	char file[PATH_MAX + 16], line[64];
	int r = -EIO;
	FILE *f;

	snprintf(file, sizeof(file), "%s/cgroup.events", path);
	f = fopen(file, "re");
	if (!f)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "populated %d", &r) == 1)
			break;
	if (ferror(f) && errno == ENODEV)
		r = 0;
	fclose(f);
	return r;
}

/* Removes a cgroup with what a sandbox may have made below it; as deep as RLIMIT_NOFILE allows. */
static void cgroup_remove(const char *path) /* NOLINT(misc-no-recursion) */
{
	struct dirent *d;
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		char child[PATH_MAX];

		if (d->d_type != DT_DIR || d->d_name[0] == '.')
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path, d->d_name) < (int)sizeof(child))
			cgroup_remove(child);
	}
	closedir(dir);
	rmdir(path);
}

/*
 * Has the kernel let go of the cgroup that a slot's programs were attached to? It does when the
 * cgroup is removed and its last socket is gone: a connection whose process has ended may still
 * have bytes to send, denied ones among them, and until then it is judged. Only the link says so;
 * the text of a file is not believed.
 */
static bool slot_is_dead(const char *dir, uint32_t slot)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	char path[PATH_MAX + 64];
	int fd;
	bool dead;

	snprintf(path, sizeof(path), "%.*s/boxes/%u/sp_egress", PATH_MAX - 32, dir, slot);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT; /* nothing was attached yet */
	dead = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.cgroup.cgroup_id == 0;
	close(fd);
	return dead;
}

/* Waits a little for that; most often there is no socket left and it takes some milliseconds. */
static bool slot_dies(const char *dir, uint32_t slot)
{
	for (int i = 0; i < 100; i++) {
		if (slot_is_dead(dir, slot))
			return true;
		usleep(2000);
	}
	return false;
}

/* One owner file: 1 if what it stands for was removed. */
static int collect_one(struct sp_engine *e, const char *path, const struct stat *pins)
{
	char dir[PATH_MAX] = "", cgroup[PATH_MAX] = "", boxes[PATH_MAX + 64];
	unsigned long long device;
	unsigned int slot;
	int fd, removed = 0;
	FILE *f;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd); /* its owner lives */
		return 0;
	}
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return 0;
	}
	if (fscanf(f, "%llu\n%u\n%4095[^\n]\n%4095[^\n]\n", &device, &slot, dir, cgroup) == 4 &&
	    slot < SP_SANDBOXES_MAX) {
		if (cgroup_populated(cgroup) == 0)
			cgroup_remove(cgroup);
		if (access(cgroup, F_OK) < 0 && device == pins->st_dev && slot_dies(dir, slot)) {
			if (strcmp(dir, e->dir) == 0) {
				sp_slot_clear(e, slot);
			} else {
				/* another build of the programs: only its pins are ours to take */
				snprintf(boxes, sizeof(boxes), "%s/boxes/%u", dir, slot);
				unlink_links(boxes);
				rmdir(boxes);
			}
			removed = 1;
		} else if (access(cgroup, F_OK) < 0 && device != pins->st_dev) {
			removed = 1; /* its pins went with the mount namespace that they were in */
		}
	} else {
		removed = 1; /* cut off while it was written: nothing was attached yet */
	}
	if (removed)
		unlink(path);
	fclose(f);
	return removed;
}

/* A slot without an owner file (SP_RUN_DIR was lost): free it if its cgroup is gone. */
static int collect_slot(struct sp_engine *e, uint32_t slot)
{
	if (!slot_is_dead(e->dir, slot))
		return 0;
	sp_slot_clear(e, slot);
	return 1;
}

int sp_engine_collect(struct sp_engine *e, unsigned int *ret_removed, struct sp_error **err)
{
	char path[PATH_MAX];
	uint8_t *owned = NULL;
	unsigned int removed = 0;
	struct stat pins;
	struct dirent *d;
	DIR *dir = NULL;
	int r;

	r = sp_engine_lock(e);
	if (r < 0)
		return sp_error_set(err, r, "cannot lock: %s", strerror(-r));
	owned = calloc(SP_SANDBOXES_MAX, 1);
	dir = opendir(SP_RUN_DIR);
	if (!owned || !dir || stat(e->dir, &pins) < 0) {
		r = sp_error_set(err, -errno, "cannot look for leftovers: %s", strerror(errno));
		goto out;
	}
	while ((d = readdir(dir))) {
		unsigned long long device;
		unsigned int slot;

		if (sscanf(d->d_name, "box-%llx-%u-", &device, &slot) != 2)
			continue;
		snprintf(path, sizeof(path), SP_RUN_DIR "/%s", d->d_name);
		if (collect_one(e, path, &pins))
			removed++;
		else if (device == pins.st_dev && slot < SP_SANDBOXES_MAX)
			owned[slot] = 1;
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%.*s/boxes", PATH_MAX - 16, e->dir);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		char *end;
		unsigned long slot = strtoul(d->d_name, &end, 10);

		if (*end || end == d->d_name || slot >= SP_SANDBOXES_MAX || owned[slot])
			continue;
		removed += collect_slot(e, slot);
	}
	sp_engine_collect_builds(e);
	if (ret_removed)
		*ret_removed = removed;
out:
	if (dir)
		closedir(dir);
	free(owned);
	sp_engine_unlock(e);
	return r;
}

/* ---- the life of a box ---------------------------------------------------------------------- */

static int box_fill(struct sp_box *b, struct sp_error **err)
{
	struct sp_engine *e = b->engine;
	struct sp_attach attach = {0};
	struct sp_image *image = NULL;
	uint32_t generation = 0, serves = 0;
	int r;

	r = sp_policy_compile(b->policy, (const uint64_t *)e->host.seed, &image, err);
	if (r < 0)
		return r;
	while (generation == 0)
		if (getrandom(&generation, sizeof(generation), 0) != sizeof(generation)) {
			r = sp_error_set(err, -EIO, "cannot draw a number");
			goto out;
		}
	image->conf.generation = generation;
	r = home_netns(&attach.netns, err);
	if (r < 0)
		goto out;
	r = name_cgroup(b, err);
	if (r < 0)
		goto out;
	/* before the cgroup: killed in between, there is nothing that nobody knows of */
	r = own(b, err);
	if (r == 0)
		r = make_cgroup(b, err);
	if (r < 0)
		goto out;
	memset(&e->sandboxes[b->slot], 0, sizeof(e->sandboxes[b->slot]));
	r = install_policy(b, image, err);
	if (r == 0)
		r = install_state(b, err);
	if (r == 0)
		r = install_static(b, image, err);
	if (r == 0)
		r = install_inner(b, err);
	if (r == 0)
		r = attach_all(b, err);
	if (r < 0)
		goto out;
	attach.sandbox = b->slot;
	attach.policy = b->slot;
	attach.generation = generation;
	attach.mode = sp_policy_mode(b->policy);
	attach.cgroup = b->cgroup_id;
	r = bpf_map_update_elem(e->maps[SP_MAP_ATTACHED], &b->cgroup_id, &attach, BPF_EXIST);
	if (r < 0) {
		sp_error_set(err, r, "cannot put the policy in force: %s", strerror(-r));
		goto out;
	}
	if (sp_injector_open(&b->injector) < 0)
		b->injector = NULL;
	if (sp_sockdiag_open(&b->diag) < 0)
		b->diag = NULL;
	sp_box_allowed_events(b, true);
	/* an answer is sent only if it was seen who would hear it */
	if (b->diag)
		serves = SP_SERVES_RESETS;
	if (b->diag && b->injector && sp_sockdiag_probe_udp(b->diag) == 0)
		serves |= SP_SERVES_ANSWERS;
	__atomic_store_n(&e->sandboxes[b->slot].serving, serves, __ATOMIC_RELEASE);
out:
	sp_image_free(image);
	return r;
}

int sp_box_create(struct sp_engine *engine, const struct sp_policy *policy, struct sp_box **ret_box,
		  struct sp_error **err)
{
	struct sp_box *b;
	int r;

	r = sp_policy_kernel_only(policy, err);
	if (r < 0)
		return r;
	if (strstr(engine->paths.current, "/sallyport-"))
		/* the programs of both would keep their notes in the same socket storage */
		return sp_error_set(
			err, -EBUSY,
			"this process is in a sandbox already (%s), and sandboxes do not nest",
			engine->paths.current);
	b = calloc(1, sizeof(*b));
	if (!b)
		return sp_error_set(err, -ENOMEM, "out of memory");
	b->engine = engine;
	b->policy = policy;
	b->cgroup_fd = -1;
	b->epoll = -1;
	b->timer = -1;
	b->owner_fd = -1;
	for (int i = 0; i < OUTERS; i++)
		b->inner[i] = -1;
	r = sp_engine_lock(engine);
	if (r < 0) {
		sp_error_set(err, r, "cannot lock: %s", strerror(-r));
		goto fail;
	}
	r = slot_take(b, err);
	if (r == 0)
		r = box_fill(b, err);
	sp_engine_unlock(engine);
	if (r < 0)
		goto fail;
	*ret_box = b;
	return 0;
fail:
	sp_box_close(b, false);
	return r;
}

int sp_box_cgroup_fd(const struct sp_box *b)
{
	return b->cgroup_fd;
}

const char *sp_box_cgroup_path(const struct sp_box *b)
{
	return b->cgroup;
}

uint32_t sp_box_id(const struct sp_box *b)
{
	return b->slot;
}

int sp_box_join(struct sp_box *b, pid_t pid, struct sp_error **err)
{
	int fd, r = 0;

	fd = openat(b->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%d", (int)pid) < 0)
		r = sp_error_set(err, -errno, "cannot move process %d into %s: %s", (int)pid,
				 b->cgroup, strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}

int sp_box_fd(const struct sp_box *b)
{
	return b->epoll;
}

static int on_event(void *data, void *record, size_t size)
{
	struct sp_box *b = data;
	struct sp_event event;

	if (sp_event_decode(record, size, &event) == 0) {
		b->count++;
		if (b->each)
			b->each(&event, b->data);
	}
	return 0;
}

/* The text that goes with a denied answer: which policy, which rule (RFC 8914 EXTRA-TEXT). */
static void answer_text(const struct sp_box *b, const struct sp_request *q, char *ret, size_t size)
{
	const char *name = sp_policy_name(b->policy);
	struct sp_rule_view rule;

	if (sp_policy_rule(b->policy, q->rule, &rule) == 0)
		snprintf(ret, size, "sallyport: denied by %s (%s %.80s) of policy %.60s",
			 rule.origin, rule.kind, rule.target, *name ? name : "(unnamed)");
	else
		snprintf(ret, size, "sallyport: %s; policy %.60s", sp_reason_text(q->reason),
			 *name ? name : "(unnamed)");
}

/* A link-local address without its interface cannot be bound to. */
static bool is_link_local(const struct in6_addr *addr)
{
	struct ifaddrs *all, *i;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !found; i = i->ifa_next)
		found = i->ifa_addr && i->ifa_addr->sa_family == AF_INET6 &&
			IN6_ARE_ADDR_EQUAL(&((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, addr);
	freeifaddrs(all);
	return found;
}

/*
 * Is this an address of this host, in this network namespace? An answer goes nowhere else: a
 * sandbox must not have us send packets for it to an address that it merely wrote into its own.
 * Asked by bind(), which takes as long whatever the number of addresses.
 */
static bool is_local(int family, const uint8_t addr[16], uint32_t bound_if)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_scope_id = bound_if};
	bool is_v4 = family == AF_INET, bound;
	int fd;

	memcpy(&v4.sin_addr, addr + 12, 4);
	memcpy(&v6.sin6_addr, addr, 16);
	if (!is_v4 && !bound_if && IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
		return is_link_local(&v6.sin6_addr);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bound = bind(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		     is_v4 ? sizeof(v4) : sizeof(v6)) == 0;
	close(fd);
	return bound;
}

/*
 * Would the answer reach the socket that asked, and nobody else? Source address and port of a query
 * are the sandbox's to choose (IP_PKTINFO, a port that others have too), and an answer in a
 * resolver's name, with bytes of the sandbox's choice, is not to be had for other sockets. That the
 * socket is there is also what keeps the kernel from telling the resolver that nobody heard, by an
 * ICMP error that quotes the name.
 */
static bool reaches_asker(const struct sp_box *b, const struct sp_request *q)
{
	return sp_sockdiag_receives(b->diag, q->family, q->peer, q->peer_port, q->saddr, q->sport,
				    q->bound_if, q->cookie) == 0 &&
	       (!q->shared || sp_sockdiag_alone(b->diag, q->family, q->peer, q->peer_port, q->saddr,
						q->sport, q->cookie) == 0);
}

static void answer(struct sp_box *b, const struct sp_request *q)
{
	uint8_t message[SP_INJECT_MAX];
	char text[256];
	int n;

	if (!b->injector || !b->diag || !is_local(q->family, q->saddr, q->bound_if) ||
	    !reaches_asker(b, q))
		return;
	answer_text(b, q, text, sizeof(text));
	n = sp_answer_build(q, text, message, sizeof(message));
	if (n > 0)
		sp_inject_udp(b->injector, q->family, q->daddr, q->dport, q->saddr, q->sport,
			      q->bound_if, message, n);
}

static int on_request(void *data, void *record, size_t size)
{
	struct sp_box *b = data;
	const struct sp_request *q = record;
	struct sp_sandbox *s = &b->engine->sandboxes[b->slot];

	if (size < sizeof(*q) || q->version != SP_ABI_VERSION)
		return 0;
	if (q->kind == SP_REQUEST_ANSWER) {
		answer(b, q);
		__atomic_add_fetch(&s->answers_given, 1, __ATOMIC_RELEASE);
	} else if (q->kind == SP_REQUEST_RESET && b->diag) {
		sp_sockdiag_destroy(b->diag, q->family, IPPROTO_TCP, q->saddr, q->sport, q->daddr,
				    q->dport, q->bound_if, q->cookie);
	}
	return 0;
}

static int dispatch(struct sp_box *b, void (*each)(const struct sp_event *event, void *data),
		    void *data, bool now)
{
	const struct itimerspec wait = {.it_value.tv_nsec = EVENTS_WAIT_NS};
	struct epoll_event ready[3];
	uint64_t expired;
	int r, len;

	b->each = each;
	b->data = data;
	b->count = 0;
	r = ring_buffer__consume(b->requests);
	len = epoll_wait(b->epoll, ready, 3, 0);
	for (int i = 0; i < len; i++) {
		/* the first event since events were taken: they are taken when the timer has run */
		if (ready[i].data.ptr == b->events && timerfd_settime(b->timer, 0, &wait, NULL) < 0)
			now = true;
		if (ready[i].data.ptr == &b->timer &&
		    read(b->timer, &expired, sizeof(expired)) == sizeof(expired))
			now = true;
	}
	if (now && r >= 0) {
		r = ring_buffer__consume(b->events);
		if (wait_for_events(b, EPOLL_CTL_MOD) < 0 && r >= 0)
			r = -errno;
	}
	b->each = NULL;
	return r < 0 ? r : b->count;
}

int sp_box_dispatch(struct sp_box *b, void (*each)(const struct sp_event *event, void *data),
		    void *data)
{
	return dispatch(b, each, data, false);
}

int sp_box_drain(struct sp_box *b, void (*each)(const struct sp_event *event, void *data),
		 void *data)
{
	return dispatch(b, each, data, true);
}

void sp_box_allowed_events(struct sp_box *b, bool wanted)
{
	__atomic_store_n(&b->engine->sandboxes[b->slot].allowed_events, wanted, __ATOMIC_RELEASE);
}

void sp_box_counters(const struct sp_box *b, struct sp_sandbox *ret_counters)
{
	*ret_counters = b->engine->sandboxes[b->slot];
}

int sp_box_populated(const struct sp_box *b)
{
	return cgroup_populated(b->cgroup);
}

void sp_box_close(struct sp_box *b, bool kill_left)
{
	int populated = 0;

	if (!b)
		return;
	if (b->cgroup[0] && kill_left) {
		int fd = openat(b->cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			if (write(fd, "1", 1) == 1)
				for (int i = 0; i < 200 && cgroup_populated(b->cgroup) == 1; i++)
					usleep(5000);
			close(fd);
		}
	}
	if (b->has_slot)
		__atomic_store_n(&b->engine->sandboxes[b->slot].serving, 0, __ATOMIC_RELEASE);
	if (b->cgroup[0])
		populated = cgroup_populated(b->cgroup);
	sp_injector_close(b->injector);
	sp_sockdiag_close(b->diag);
	ring_buffer__free(b->requests);
	ring_buffer__free(b->events);
	if (b->epoll >= 0)
		close(b->epoll);
	if (b->timer >= 0)
		close(b->timer);
	close_inner(b);
	if (b->cgroup_fd >= 0)
		close(b->cgroup_fd);
	if (populated == 0) {
		/*
		 * The cgroup goes first; the programs go with the last socket. If that takes longer
		 * (a connection with bytes to send), the owner file stays, and a later start
		 * collects.
		 */
		if (b->cgroup[0])
			cgroup_remove(b->cgroup);
		if (!b->has_slot || slot_dies(b->engine->dir, b->slot)) {
			sp_engine_lock(b->engine);
			if (b->has_slot)
				sp_slot_clear(b->engine, b->slot);
			if (b->owner[0])
				unlink(b->owner);
			sp_engine_unlock(b->engine);
		}
	}
	if (b->owner_fd >= 0)
		close(b->owner_fd);
	free(b);
}
