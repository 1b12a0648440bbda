// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * box.c - one sandbox: a cgroup, the programs that are attached to it, and its maps.
 *
 * How a box comes into force. Its slot is a directory in bpffs (mkdir is atomic, so it is also the
 * allocation). The inner maps are made and put into the outer ones; then every program is attached
 * to the empty cgroup; and last, one write fills the cgroup's struct sp_attach. Until that write
 * the storage is zero and the programs deny everything, so a process that got in early has nothing.
 * Any failure takes all of it back.
 *
 * What keeps it in force is the cgroup. Programs are attached to it by themselves, not by links: a
 * link detaches when its last holder goes, and its pin is a file, in a file system that somebody
 * can have the last mount of. The cgroup holds its programs, and they their maps, until it is
 * removed and its last socket is gone. Pins are for the next start to find what is there, no more.
 *
 * How it ends. Its owner holds a lock on the slot's directory, which the kernel drops when the
 * owner dies, however it dies. Enforcement goes on as long as there are processes; when there are
 * none, the next start (sp_engine_collect()) takes the rest away. In the slot are two links, whose
 * texts say what that needs: "path", the cgroup's below the root of the hierarchy, made before the
 * cgroup; and "cgroup", its id, made before the first program is attached.
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

#include "cgroup.h"
#include "engine.h"
#include "inject.h"
#include "routes.h"
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
	int slot_fd; /* the slot's directory; its lock says that the owner lives */
	int cgroup_fd;
	char cgroup[PATH_MAX]; /* path, for people */
	const char *below;     /* the part of it below the root of cgroup v2, "/..."; NULL: none */
	uint64_t cgroup_id;
	int inner[OUTERS]; /* inner maps not yet in their outer ones; -1: none */
	struct ring_buffer *requests, *events;
	int epoll;		      /* of both rings and the timer; what sp_box_fd() gives */
	int timer;		      /* runs while events wait to be taken (EVENTS_WAIT_NS) */
	struct sp_injector *injector; /* NULL: denied queries fail instead of being answered */
	struct sp_routes *routes;     /* the home network namespace's, mirrored */
	struct sp_sockdiag *diag;     /* NULL: denied connections time out soon instead */
	void (*each)(const struct sp_event *event, void *data); /* during dispatch */
	void *data;
	int count;
};

/* ---- slots ---------------------------------------------------------------------------------- */

/* What a slot's directory says of its cgroup. */
#define SLOT_PATH "path"
#define SLOT_CGROUP "cgroup"

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

/*
 * Frees a slot of this build, whose directory the caller has locked: nobody else does, nor takes it
 * for theirs, before the last line.
 */
static void slot_clear(struct sp_engine *e, uint32_t slot, int slot_fd)
{
	static const struct sp_policy_conf no_policy;
	char dir[PATH_MAX];

	if (change_outers(e, slot, NULL) < 0)
		return; /* not free: a slot without programs is cleared again by the next start */
	bpf_map_update_elem(e->maps[SP_MAP_POLICIES], &slot, &no_policy, BPF_ANY);
	memset(&e->sandboxes[slot], 0, sizeof(e->sandboxes[slot]));
	unlinkat(slot_fd, SLOT_CGROUP, 0);
	unlinkat(slot_fd, SLOT_PATH, 0);
	slot_dir(e, slot, dir, sizeof(dir));
	rmdir(dir);
}

/* Opens a slot's directory and locks it. The descriptor; -EWOULDBLOCK: its owner lives; -errno. */
static int slot_open(const char *dir)
{
	struct stat st;
	int fd, r = 0;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
		r = -errno;
	else if (st.st_nlink == 0)
		r = -ENOENT; /* its owner has just removed it */
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* Under the engine's lock: between mkdir and flock it is nobody's. */
static int slot_take(struct sp_box *b, struct sp_error **err)
{
	char dir[PATH_MAX];
	int r;

	for (uint32_t i = 0; i < SP_SANDBOXES_MAX; i++) {
		slot_dir(b->engine, i, dir, sizeof(dir));
		if (mkdir(dir, 0700) == 0) {
			b->slot_fd = slot_open(dir);
			if (b->slot_fd < 0) {
				r = b->slot_fd;
				rmdir(dir);
				return sp_error_set(err, r, "cannot lock %s: %s", dir,
						    strerror(-r));
			}
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

static int slot_note(struct sp_box *b, const char *name, const char *text, struct sp_error **err)
{
	if (symlinkat(text, b->slot_fd, name) < 0)
		return sp_error_set(err, -errno, "cannot note the cgroup in bpffs: %s",
				    strerror(errno));
	return 0;
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

/* The mirror of the routes, filled, and watched beside the rings. */
static int install_routes(struct sp_box *b, struct sp_error **err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	uint32_t *any = &b->engine->sandboxes[b->slot].any_interface;
	struct epoll_event event = {.events = EPOLLIN};
	int fd, own, r;

	fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, NULL, sizeof(struct sp_route_key),
			    sizeof(struct sp_route), SP_ROUTES_MAX, &opts);
	if (fd < 0)
		return no_map(err, "routes");
	install(b, SP_MAP_ROUTES, fd, "routes", err);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return no_map(err, "routes");
	r = sp_routes_open(own, any, &b->routes);
	if (r < 0)
		return sp_error_set(err, r, "cannot read the routes: %s", strerror(-r));
	event.data.ptr = b->routes;
	if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, sp_routes_fd(b->routes), &event) < 0)
		return sp_error_set(err, -errno, "cannot watch the routes: %s", strerror(errno));
	return 0;
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
	if (r == 0)
		r = install_rings(b, err);
	return r == 0 ? install_routes(b, err) : r;
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

/*
 * Another build, or a sallyport of another PID namespace, may have the same slot and the same PID,
 * and its cgroup may be beside this one.
 */
#define NAMES_MAX 1000
static int name_cgroup(struct sp_box *b, struct sp_error **err)
{
	const struct sp_host_paths *paths = &b->engine->paths;
	char more[16] = "";

	for (unsigned int i = 2; i < NAMES_MAX; i++) {
		if (snprintf(b->cgroup, sizeof(b->cgroup), "%s%s/sallyport-%u-%d%s", paths->cgroup,
			     paths->current, b->slot, (int)getpid(),
			     more) >= (int)sizeof(b->cgroup))
			return sp_error_set(err, -ENAMETOOLONG,
					    "the path of the cgroup is too long");
		b->below = b->cgroup + strlen(paths->cgroup);
		if (faccessat(paths->cgroup_fd, b->below + 1, F_OK, 0))
			break;
		snprintf(more, sizeof(more), "-%u", i);
	}
	return 0;
}

static int make_cgroup(struct sp_box *b, struct sp_error **err)
{
	int root = b->engine->paths.cgroup_fd;
	char id[32];
	struct stat st;

	if (mkdirat(root, b->below + 1, 0755) < 0) {
		int r = -errno;

		sp_error_set(err, r, "cannot make the cgroup %s: %s%s", b->cgroup, strerror(-r),
			     r == -EAGAIN ? " (cgroup.max.descendants or cgroup.max.depth of a "
					    "cgroup above it)"
					  : "");
		b->below = NULL;
		return r;
	}
	b->cgroup_fd = openat(root, b->below + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->cgroup_fd < 0 || fstat(b->cgroup_fd, &st) < 0)
		return sp_error_set(err, -errno, "cannot open the cgroup %s: %s", b->cgroup,
				    strerror(errno));
	b->cgroup_id = st.st_ino; /* kernfs: the inode number is the cgroup's id */
	snprintf(id, sizeof(id), "%llu", (unsigned long long)b->cgroup_id);
	return slot_note(b, SLOT_CGROUP, id, err);
}

static int attach_all(struct sp_box *b, struct sp_error **err)
{
	for (int i = 0; i < SP_PROGRAMS; i++) {
		if (b->engine->programs[i] < 0)
			continue;
		if (bpf_prog_attach(b->engine->programs[i], b->cgroup_fd,
				    sp_programs[i].attach_type, BPF_F_ALLOW_MULTI) < 0)
			return sp_error_set(err, -errno, "cannot attach %s to the cgroup: %s",
					    sp_programs[i].name, strerror(errno));
	}
	return 0;
}

/* Is this one of our programs, of whatever build? */
static bool is_ours(uint32_t id)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);
	bool ours;

	if (fd < 0)
		return false;
	ours = bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
	       info.type == BPF_PROG_TYPE_CGROUP_SKB && strcmp(info.name, "sp_egress") == 0;
	close(fd);
	return ours;
}

/*
 * Would a box here be in another one? The programs of both would keep their notes in the same
 * socket storage. What is in force for the cgroup says so; names say nothing.
 */
static int refuse_nesting(const struct sp_engine *e, struct sp_error **err)
{
	char below[sizeof(e->paths.current) + 2];
	uint32_t ids[64], len = 64;
	int fd, r;

	snprintf(below, sizeof(below), ".%s", e->paths.current);
	fd = openat(e->paths.cgroup_fd, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return sp_error_set(err, -errno, "cannot open the cgroup %s%s: %s", e->paths.cgroup,
				    e->paths.current, strerror(errno));
	r = bpf_prog_query(fd, BPF_CGROUP_INET_EGRESS, BPF_F_QUERY_EFFECTIVE, NULL, ids, &len);
	if (r < 0)
		r = -errno;
	close(fd);
	if (r < 0 && r != -ENOSPC)
		return sp_error_set(err, r, "cannot ask which programs are attached: %s",
				    strerror(-r));
	for (uint32_t i = 0; i < len && i < 64; i++)
		if (is_ours(ids[i]))
			return sp_error_set(err, -EBUSY,
					    "this process is in a sandbox already (%s), and "
					    "sandboxes do not nest",
					    e->paths.current);
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

/* ---- leftovers ------------------------------------------------------------------------------ */

/* A slot whose owner is gone. */
struct leftover {
	int fd; /* of the slot's directory, locked */
	uint32_t slot;
	char path[PATH_MAX]; /* of its cgroup; "": not made yet */
	uint64_t cgroup;     /* its id; 0: nothing was attached yet */
};

/* The text of a link in a slot; "" if there is none. */
static void read_note(int slot_fd, const char *name, char *ret, size_t size)
{
	ssize_t len = readlinkat(slot_fd, name, ret, size - 1);

	ret[len > 0 ? len : 0] = '\0';
}

static int leftover_open(const char *boxes, const char *name, struct leftover *ret)
{
	char dir[PATH_MAX], id[32], *end;
	unsigned long slot = strtoul(name, &end, 10);

	if (*end || end == name || slot >= SP_SANDBOXES_MAX)
		return -EINVAL;
	if (snprintf(dir, sizeof(dir), "%s/%s", boxes, name) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	ret->fd = slot_open(dir);
	if (ret->fd < 0)
		return ret->fd;
	ret->slot = slot;
	read_note(ret->fd, SLOT_PATH, ret->path, sizeof(ret->path));
	read_note(ret->fd, SLOT_CGROUP, id, sizeof(id));
	ret->cgroup = strtoull(id, NULL, 10);
	return 0;
}

/* Opens the cgroup of a leftover, if it still is that one. -ENOENT: it is gone, or not in sight. */
static int leftover_cgroup(const struct sp_engine *e, const struct leftover *l)
{
	struct stat st;
	int fd;

	if (l->path[0] != '/')
		return -ENOENT;
	fd = openat(e->paths.cgroup_fd, l->path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (l->cgroup && (fstat(fd, &st) < 0 || st.st_ino != l->cgroup)) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

/*
 * Has the kernel let go of the cgroup that a slot's programs were attached to? It does when the
 * cgroup is removed and its last socket is gone: a connection whose process has ended may still
 * have bytes to send, denied ones among them, and until then it is judged. The storage of the
 * cgroup says so: it goes with the programs. `attached`: that map, of their build; -1: removed.
 */
static bool cgroup_is_dead(int attached, uint64_t cgroup)
{
	struct sp_attach value;

	if (attached < 0)
		return true; /* nobody can tell any more, and nothing rests on it */
	return bpf_map_lookup_elem(attached, &cgroup, &value) < 0 && errno == ENOENT;
}

/*
 * Takes away what can be taken of a leftover's cgroup. True if the slot may be freed: nothing that
 * it stands for is in force. Does not wait: what dies meanwhile is for the next start.
 */
static bool leftover_is_over(const struct sp_engine *e, const struct leftover *l, int attached)
{
	int fd = leftover_cgroup(e, l), populated = 0;

	if (fd >= 0) {
		populated = sp_cgroup_populated(fd);
		close(fd);
		if (populated == 0)
			populated = sp_cgroup_remove(e->paths.cgroup_fd, l->path + 1) < 0;
	} else if (fd != -ENOENT) {
		return false;
	}
	if (populated)
		return false;
	return l->cgroup == 0 || cgroup_is_dead(attached, l->cgroup);
}

/* Of another build only the directory is ours to take: its maps go with the whole. */
void sp_slots_collect_other(struct sp_engine *e, const char *build)
{
	char boxes[PATH_MAX], map[PATH_MAX];
	struct leftover l;
	struct dirent *d;
	int attached;
	DIR *dir;

	snprintf(boxes, sizeof(boxes), "%.*s/boxes", PATH_MAX - 16, build);
	snprintf(map, sizeof(map), "%.*s/map_attached", PATH_MAX - 16, build);
	attached = bpf_obj_get(map);
	dir = attached < 0 && errno != ENOENT ? NULL : opendir(boxes);
	while (dir && (d = readdir(dir))) {
		if (leftover_open(boxes, d->d_name, &l) < 0)
			continue;
		if (leftover_is_over(e, &l, attached)) {
			unlinkat(l.fd, SLOT_CGROUP, 0);
			unlinkat(l.fd, SLOT_PATH, 0);
			unlinkat(dirfd(dir), d->d_name, AT_REMOVEDIR);
		}
		close(l.fd);
	}
	if (dir)
		closedir(dir);
	if (attached >= 0)
		close(attached);
}

#define COLLECT_MAX 32 /* slots that a start frees: each costs it a wait for the kernel */

int sp_engine_collect(struct sp_engine *e, unsigned int *ret_removed, struct sp_error **err)
{
	struct {
		int fd;
		uint32_t slot;
	} over[COLLECT_MAX];
	unsigned int len = 0;
	char boxes[PATH_MAX];
	struct leftover l;
	struct dirent *d;
	DIR *dir;
	int r;

	r = sp_engine_lock(e);
	if (r < 0)
		return sp_error_set(err, r, "cannot lock: %s", strerror(-r));
	snprintf(boxes, sizeof(boxes), "%.*s/boxes", PATH_MAX - 16, e->dir);
	dir = opendir(boxes);
	if (!dir)
		r = sp_error_set(err, -errno, "cannot look for leftovers: %s", strerror(errno));
	while (dir && len < COLLECT_MAX && (d = readdir(dir))) {
		if (leftover_open(boxes, d->d_name, &l) < 0)
			continue;
		if (leftover_is_over(e, &l, e->maps[SP_MAP_ATTACHED])) {
			over[len].fd = l.fd;
			over[len++].slot = l.slot;
		} else {
			close(l.fd);
		}
	}
	if (dir)
		closedir(dir);
	if (r == 0)
		sp_engine_collect_builds(e);
	sp_engine_unlock(e);
	/* their locks are held: nobody else has to wait for this */
	for (unsigned int i = 0; i < len; i++) {
		slot_clear(e, over[i].slot, over[i].fd);
		close(over[i].fd);
	}
	if (r == 0 && ret_removed)
		*ret_removed = len;
	return r;
}

/* Loopback, link-local and RFC 1918: what most addresses of a host are. */
static bool private4(uint32_t a)
{
	return a >> 24 == 127 || a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
	       a >> 16 == 0xa9fe;
}

/* The addresses of this network namespace's interfaces: no name may teach one (rebinding). */
static int own_addresses(struct sp_policy_conf *conf, struct sp_error **err)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct ifaddrs *all, *i;

	if (getifaddrs(&all) < 0)
		return sp_error_set(err, -errno, "cannot read the addresses of this host: %s",
				    strerror(errno));
	for (i = all; i && conf->own_len < SP_OWN_MAX; i = i->ifa_next) {
		uint8_t *to = conf->own[conf->own_len].addr;
		struct sockaddr_in *v4 = (struct sockaddr_in *)i->ifa_addr;
		struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)i->ifa_addr;

		/* for those in special ranges the kernel side needs no list */
		if (v4 && v4->sin_family == AF_INET && !private4(ntohl(v4->sin_addr.s_addr))) {
			memcpy(to, mapped, sizeof(mapped));
			memcpy(to + 12, &v4->sin_addr, 4);
			conf->own_len++;
		} else if (v6 && v6->sin6_family == AF_INET6 &&
			   v6->sin6_addr.s6_addr[0] >> 5 == 1) {
			memcpy(to, &v6->sin6_addr, 16);
			conf->own_len++;
		}
	}
	freeifaddrs(all);
	return 0;
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
	r = own_addresses(&image->conf, err);
	if (r < 0)
		goto out;
	r = home_netns(&attach.netns, err);
	if (r < 0)
		goto out;
	r = name_cgroup(b, err);
	if (r < 0)
		goto out;
	/* before the cgroup: killed in between, there is nothing that nobody knows of */
	r = slot_note(b, SLOT_PATH, b->below, err);
	if (r == 0)
		r = make_cgroup(b, err);
	else
		b->below = NULL;
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
	r = refuse_nesting(engine, err);
	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return sp_error_set(err, -ENOMEM, "out of memory");
	b->engine = engine;
	b->policy = policy;
	b->cgroup_fd = -1;
	b->epoll = -1;
	b->timer = -1;
	b->slot_fd = -1;
	for (int i = 0; i < OUTERS; i++)
		b->inner[i] = -1;
	r = sp_engine_lock(engine);
	if (r < 0) {
		sp_error_set(err, r, "cannot lock: %s", strerror(-r));
		goto fail;
	}
	r = slot_take(b, err);
	sp_engine_unlock(engine);
	if (r == 0)
		r = box_fill(b, err); /* by now the slot is locked: others need not wait */
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

static bool same_resolver(const struct sp_policy_conf *a, size_t i, const struct sp_policy_conf *b,
			  size_t j)
{
	return a->resolver_ifs[i] == b->resolver_ifs[j] &&
	       !memcmp(&a->resolvers[i], &b->resolvers[j], sizeof(a->resolvers[i]));
}

static int find_resolver(const struct sp_policy_conf *in, const struct sp_policy_conf *conf,
			 size_t i)
{
	for (size_t j = 0; j < in->resolvers_len; j++)
		if (same_resolver(conf, i, in, j))
			return (int)j;
	return -1;
}

/*
 * A program may read the record while it is written, and an address that is half this and half
 * that must not be trusted. So a place is written in steps: while its interface is one that no
 * packet has, the address in it is nobody's.
 */
int sp_box_resolvers(struct sp_box *b, bool old)
{
	int map = b->engine->maps[SP_MAP_POLICIES], r;
	struct sp_policy_conf now, want = {0}, next;
	bool taken[SP_RESOLVERS_MAX] = {0}, changed = false;
	size_t len;

	sp_policy_conf_resolvers(b->policy, &want);
	if (bpf_map_lookup_elem(map, &b->slot, &now) < 0)
		return -errno;
	next = now;
	for (size_t i = 0; i < now.resolvers_len; i++)
		taken[i] = find_resolver(&want, &now, i) >= 0;
	for (size_t j = 0; j < want.resolvers_len; j++) {
		size_t at = now.resolvers_len;

		if (find_resolver(&now, &want, j) >= 0)
			continue;
		/* a place behind the old ones, and only without one of theirs */
		while (at < SP_RESOLVERS_MAX && taken[at])
			at++;
		if (!old || at == SP_RESOLVERS_MAX)
			for (at = 0; at < SP_RESOLVERS_MAX && taken[at]; at++)
				;
		if (at == SP_RESOLVERS_MAX)
			return -ENOSPC;
		taken[at] = true;
		changed = true;
		next.resolvers[at] = want.resolvers[j];
		next.resolver_ifs[at] = want.resolver_ifs[j];
	}
	for (size_t i = 0; i < now.resolvers_len; i++)
		if (!taken[i] && !old) {
			next.resolver_ifs[i] = UINT32_MAX;
			changed = true;
		}
	for (len = SP_RESOLVERS_MAX; len > 0; len--)
		if (taken[len - 1] || (old && len <= now.resolvers_len))
			break;
	next.resolvers_len = len;
	if (!changed)
		return 0;
	for (size_t i = 0; i < SP_RESOLVERS_MAX; i++)
		if (!same_resolver(&now, i, &next, i))
			now.resolver_ifs[i] = UINT32_MAX;
	r = bpf_map_update_elem(map, &b->slot, &now, BPF_EXIST);
	memcpy(now.resolvers, next.resolvers, sizeof(now.resolvers));
	now.resolvers_len = next.resolvers_len;
	if (r == 0)
		r = bpf_map_update_elem(map, &b->slot, &now, BPF_EXIST);
	if (r == 0)
		r = bpf_map_update_elem(map, &b->slot, &next, BPF_EXIST);
	return r < 0 ? r : 0;
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
	struct epoll_event ready[4];
	uint64_t expired;
	int r, len;

	b->each = each;
	b->data = data;
	b->count = 0;
	r = ring_buffer__consume(b->requests);
	len = epoll_wait(b->epoll, ready, 4, 0);
	for (int i = 0; i < len; i++) {
		/* the first event since events were taken: they are taken when the timer has run */
		if (ready[i].data.ptr == b->events && timerfd_settime(b->timer, 0, &wait, NULL) < 0)
			now = true;
		if (ready[i].data.ptr == b->routes)
			sp_routes_dispatch(b->routes); /* failing, the map stays as it was */
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
	return sp_cgroup_populated(b->cgroup_fd);
}

unsigned int sp_box_processes(const struct sp_box *b)
{
	return sp_cgroup_processes(b->cgroup_fd);
}

/* Kills what is in the cgroup and below it, and waits until it is gone, at most a second. */
static void kill_left_behind(const struct sp_box *b)
{
	int fd = openat(b->cgroup_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) == 1)
		for (int i = 0; i < 200 && sp_cgroup_populated(b->cgroup_fd) == 1; i++)
			usleep(5000);
	close(fd);
}

/*
 * The cgroup goes first; the programs go with the last socket, most often some milliseconds later.
 * If it takes longer (a connection with bytes to send), a later start frees the slot.
 */
static void free_slot(struct sp_box *b)
{
	int attached = b->engine->maps[SP_MAP_ATTACHED];
	bool dead = b->cgroup_id == 0;

	if (b->below && sp_cgroup_remove(b->engine->paths.cgroup_fd, b->below + 1) < 0)
		return;
	for (int i = 0; i < 100 && !dead; i++) {
		dead = cgroup_is_dead(attached, b->cgroup_id);
		if (!dead)
			usleep(2000);
	}
	if (dead)
		slot_clear(b->engine, b->slot, b->slot_fd);
}

void sp_box_close(struct sp_box *b, bool kill_left)
{
	int populated = 0;

	if (!b)
		return;
	if (b->cgroup_fd >= 0 && kill_left)
		kill_left_behind(b);
	if (b->has_slot)
		__atomic_store_n(&b->engine->sandboxes[b->slot].serving, 0, __ATOMIC_RELEASE);
	if (b->cgroup_fd >= 0)
		populated = sp_cgroup_populated(b->cgroup_fd);
	sp_injector_close(b->injector);
	sp_sockdiag_close(b->diag);
	ring_buffer__free(b->requests);
	ring_buffer__free(b->events);
	sp_routes_close(b->routes);
	if (b->epoll >= 0)
		close(b->epoll);
	if (b->timer >= 0)
		close(b->timer);
	close_inner(b);
	if (b->cgroup_fd >= 0)
		close(b->cgroup_fd);
	if (b->has_slot && populated == 0)
		free_slot(b);
	if (b->slot_fd >= 0)
		close(b->slot_fd);
	free(b);
}
