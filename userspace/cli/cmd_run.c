/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_run.c - `sallyport run`: one command in a sandbox of its own, no daemon.
 *
 * The parent stays beside the command for three things: it answers denied DNS queries and resets
 * denied connections (sp_box_dispatch), says what was denied, and passes signals and job control
 * on, so that the command behaves as if it had been started without sallyport. None of that is
 * enforcement: when the parent is killed, the kernel programs stay.
 *
 * Signals. Parent and command share session and process group, so what the terminal sends (Ctrl-C,
 * Ctrl-Z, a hang-up) reaches both, and must not be sent a second time. A signal is passed on if a
 * process outside the sandbox sent it (si_code <= 0): `kill PID`, a supervisor, timeout, sudo. A
 * signal of the terminal is passed on only if the command has left the group (setsid, an
 * interactive shell). The parent itself never dies of these signals; it waits for the command.
 * When the command stops, the parent stops itself with the same signal, so that the shell sees its
 * job stop; SIGCONT is always passed on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sallyport/engine.h>
#include <sallyport/events.h>
#include <sallyport/policy.h>

#include "cli.h"
#include "event_log.h"
#include "hosts.h"
#include "launch.h"
#include "output.h"
#include "resolv.h"
#include "follow.h"
#include "words.h"

#define SEEN_MAX 1024		 /* different denials that are told apart (a power of two) */
#define SAY_AGAIN_NS 60000000000 /* the same denial is said again after that */
#define LAST_FLUSH_MS 2000	 /* how long the end waits for a slow reader of events */
#define SETTLE_MS 100		 /* processes that are just ending are not "left" */
#define ALONE_MS 1000		 /* and init is, when nobody else is there */

struct seen {
	uint64_t key;	/* 0: free */
	uint64_t since; /* denials not said yet */
	uint64_t said_ns;
};

struct options {
	const char *policy, *mode, *default_action, *events, *user;
	const char **allow, **deny, **resolvers;
	size_t allow_len, deny_len, resolvers_len;
	bool json, quiet, keep_caps, keep_families, keep_sendfile, kill_left, landlock;
	uint64_t events_rate, events_size;
	struct sp_shares shares;
	char **command;
};

struct run {
	struct options options;
	struct sp_policy *policy;
	struct sp_engine *engine;
	struct sp_box *box;
	struct sp_before before;
	struct sp_nameservers servers; /* of resolv.conf, at the start */
	struct sp_follow *follow;      /* NULL: what it says later does not count */
	struct sp_event_log events;    /* --events */
	struct sp_output denials;      /* stderr */
	bool colour;
	struct seen seen[SEEN_MAX];
	size_t different; /* in `seen` */
	size_t answers; /* of these: answers that may not teach, which are not counted as denials */
	bool too_many;
	uint64_t unprintable; /* events that could not be turned into text: out of memory */
	pid_t child;
	struct sp_pids pids;
	char cgroup[PATH_MAX]; /* the command's, as /proc/PID/cgroup says it */
	bool terminal_was_childs;
	bool terminal_was_ours; /* this group's, at the start */
};

static const char *const run_usage =
	"usage: sallyport run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"\n"
	"Starts COMMAND in a sandbox where only the named hosts can be reached. Needs root; under\n"
	"sudo, COMMAND runs as the user that called sudo. Without a policy, everything is denied.\n"
	"\n"
	"policy:\n"
	"  -p, --policy FILE        policy document (\"-\": standard input)\n"
	"  -a, --allow TARGET       allow a name, name:port, address or CIDR; may be repeated\n"
	"  -d, --deny TARGET        deny it, before any --allow; may be repeated\n"
	"      --default ACTION     deny or allow: what no rule matches\n"
	"      --mode MODE          enforce, or audit_only: block nothing, say what would be "
	"denied\n"
	"      --resolver ADDRESS   trust this DNS server only; may be repeated\n"
	"                           (otherwise the policy's, or those of /etc/resolv.conf)\n"
	"\n"
	"output:\n"
	"  -e, --events FILE        append every event as a line of JSON (\"-\": standard output)\n"
	"      --events-rate N      at most N a second, of allowed and of denied each (5000);\n"
	"                           0: no bound\n"
	"      --events-size SIZE   at most SIZE bytes in this run (1G; K, M, G); 0: no bound\n"
	"  -j, --json               what sallyport says on standard error is JSON, one object a "
	"line:\n"
	"                           denials, {\"warning\":...}, {\"error\":...} and a "
	"{\"summary\":...}\n"
	"  -q, --quiet              say nothing on standard error but errors\n"
	"\n"
	"sandbox:\n"
	"  -u, --user USER          run as USER (a name, a number, or UID:GID)\n"
	"      --keep-caps          keep capabilities (a sandbox with CAP_NET_ADMIN can get out)\n"
	"      --keep-families      keep socket families other than UNIX, INET, INET6 and\n"
	"                           NETLINK(ROUTE), and io_uring\n"
	"      --keep-sendfile      where they are refused (before Linux 6.2): keep sendfile() "
	"and\n"
	"                           splice(), which nginx needs; what they send can change after\n"
	"                           it was judged\n"
	"      --share NAME         do not hide this helper outside (docker, session-bus, x11 "
	"...);\n"
	"                           may be repeated; \"--share help\" lists the names\n"
	"      --hide-sockets       does nothing: it is the default\n"
	"      --landlock           below Linux 6.12, too: processes outside cannot be traced, at "
	"the\n"
	"                           price of mount() (bwrap and unshare -m then fail)\n"
	"      --kill-left          kill what COMMAND leaves running; otherwise it goes on, "
	"enforced\n"
	"  -h, --help               this text\n"
	"\n"
	"exit status: that of COMMAND; 128+N if signal N killed it; 127 not found, 126 not "
	"executable,\n"
	"2 bad usage or policy, 1 the host cannot enforce (in these two COMMAND is not started)\n";

/* ---- options -------------------------------------------------------------------------------- */

enum {
	OPTION_DEFAULT = 256,
	OPTION_MODE,
	OPTION_RESOLVER,
	OPTION_KEEP_CAPS,
	OPTION_KEEP_FAMILIES,
	OPTION_KEEP_SENDFILE,
	OPTION_HIDE_SOCKETS,
	OPTION_SHARE,
	OPTION_EVENTS_RATE,
	OPTION_EVENTS_SIZE,
	OPTION_LANDLOCK,
	OPTION_KILL_LEFT,
};

static const struct option long_options[] = {
	{"policy", required_argument, NULL, 'p'},
	{"allow", required_argument, NULL, 'a'},
	{"deny", required_argument, NULL, 'd'},
	{"default", required_argument, NULL, OPTION_DEFAULT},
	{"mode", required_argument, NULL, OPTION_MODE},
	{"resolver", required_argument, NULL, OPTION_RESOLVER},
	{"events", required_argument, NULL, 'e'},
	{"events-rate", required_argument, NULL, OPTION_EVENTS_RATE},
	{"events-size", required_argument, NULL, OPTION_EVENTS_SIZE},
	{"json", no_argument, NULL, 'j'},
	{"quiet", no_argument, NULL, 'q'},
	{"user", required_argument, NULL, 'u'},
	{"keep-caps", no_argument, NULL, OPTION_KEEP_CAPS},
	{"keep-families", no_argument, NULL, OPTION_KEEP_FAMILIES},
	{"keep-sendfile", no_argument, NULL, OPTION_KEEP_SENDFILE},
	{"hide-sockets", no_argument, NULL, OPTION_HIDE_SOCKETS},
	{"share", required_argument, NULL, OPTION_SHARE},
	{"landlock", no_argument, NULL, OPTION_LANDLOCK},
	{"kill-left", no_argument, NULL, OPTION_KILL_LEFT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int push(const char *option, const char ***list, size_t *len, const char *value)
{
	const char **more;

	if (*value == '-') {
		/* `--allow -- COMMAND` */
		sp_cli_error("run: %s needs an argument, and %.60s is an option", option, value);
		return SP_EXIT_USAGE;
	}
	more = reallocarray(*list, *len + 1, sizeof(**list));
	if (!more) {
		sp_cli_error("%s", strerror(ENOMEM));
		return SP_EXIT_HOST;
	}
	more[(*len)++] = value;
	*list = more;
	return 0;
}

static int bad_option(char *word)
{
	const char *names[sizeof(long_options) / sizeof(long_options[0])] = {NULL};
	const char *nearest = NULL;

	for (size_t i = 0; long_options[i].name; i++)
		names[i] = long_options[i].name;
	if (word && !strncmp(word, "--", 2)) {
		char *name = strndup(word + 2, strcspn(word + 2, "="));

		nearest = name ? sp_nearest(names, name) : NULL;
		free(name);
	}
	if (nearest && strcmp(nearest, word + 2) != 0)
		sp_cli_error("run: unknown option %.60s; did you mean --%s?", word, nearest);
	else
		sp_cli_error("run: unknown option %.60s; see sallyport run --help",
			     word ? word : "");
	return SP_EXIT_USAGE;
}

/* A decimal number, by wish with K, M or G behind it. */
static int number(const char *option, const char *text, uint64_t *ret_value, uint64_t max,
		  bool units)
{
	static const char letters[] = "KMG";
	const char *unit = NULL;
	uint64_t value = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && value <= max / 10; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	if (i && units && text[i])
		unit = strchr(letters, text[i] & ~0x20);
	for (const char *letter = letters; unit && letter <= unit && value <= max; letter++)
		value *= 1024;
	if (!i || value > max || text[unit ? i + 1 : i]) {
		sp_cli_error("run: %s takes a number%s of at most %llu, not \"%.40s\"", option,
			     units ? " (K, M, G)" : "", (unsigned long long)max, text);
		return SP_EXIT_USAGE;
	}
	*ret_value = value;
	return 0;
}

static int share(struct sp_shares *shares, const char *name)
{
	struct sp_error *err = NULL;

	if (!sp_share_add(shares, name, &err))
		return 0;
	sp_cli_error_object(err);
	return SP_EXIT_USAGE;
}

static void list_shares(void)
{
	static const char *const when[] = {
		[SP_HIDE_ALWAYS] = "hidden, under audit_only too",
		[SP_HIDE_ENFORCED] = "hidden",
		[SP_HIDE_NEVER] = "never hidden",
	};

	for (const struct sp_helper *helper = sp_helpers; helper->name; helper++)
		printf("%-16s %s (%s)\n", helper->name, helper->does, when[helper->when]);
	printf("%-16s every abstract UNIX socket\n", "abstract");
	printf("%-16s the processes of the host\n", "pids");
}

/* 0: go on; > 0: exit with it; -1: exit with success. */
static int parse_options(int argc, char **argv, struct options *o)
{
	int option, r = 0;

	o->events_rate = SP_EVENTS_RATE;
	o->events_size = SP_EVENTS_SIZE;
	opterr = 0;
	optind = 1;
	/* "+": options end at the first word that is none, so COMMAND's stay COMMAND's. */
	while (!r &&
	       (option = getopt_long(argc, argv, "+:p:a:d:e:jqu:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'p':
			/* the second would win without a word, and the first's denials be gone */
			if (o->policy) {
				sp_cli_error("run: --policy stands here twice");
				r = SP_EXIT_USAGE;
			}
			o->policy = optarg;
			break;
		case 'a':
			r = push("--allow", &o->allow, &o->allow_len, optarg);
			break;
		case 'd':
			r = push("--deny", &o->deny, &o->deny_len, optarg);
			break;
		case OPTION_RESOLVER:
			r = push("--resolver", &o->resolvers, &o->resolvers_len, optarg);
			break;
		case OPTION_DEFAULT:
			o->default_action = optarg;
			break;
		case OPTION_MODE:
			o->mode = optarg;
			break;
		case 'e':
			o->events = optarg;
			break;
		case OPTION_EVENTS_RATE:
			r = number("--events-rate", optarg, &o->events_rate, 1000000, false);
			break;
		case OPTION_EVENTS_SIZE:
			r = number("--events-size", optarg, &o->events_size, UINT64_MAX / 2, true);
			break;
		case 'j':
			o->json = true;
			sp_cli_json(true);
			break;
		case 'q':
			o->quiet = true;
			break;
		case 'u':
			o->user = optarg;
			break;
		case OPTION_KEEP_CAPS:
			o->keep_caps = true;
			break;
		case OPTION_KEEP_FAMILIES:
			o->keep_families = true;
			break;
		case OPTION_KEEP_SENDFILE:
			o->keep_sendfile = true;
			break;
		case OPTION_HIDE_SOCKETS: /* the default since it had a name; kept for scripts */
			break;
		case OPTION_SHARE:
			if (!strcmp(optarg, "help")) {
				list_shares();
				return -1;
			}
			r = share(&o->shares, optarg);
			break;
		case OPTION_LANDLOCK:
			o->landlock = true;
			break;
		case OPTION_KILL_LEFT:
			o->kill_left = true;
			break;
		case 'h':
			fputs(run_usage, stdout);
			return -1;
		case ':':
			sp_cli_error("run: %s needs a value", argv[optind - 1]);
			return SP_EXIT_USAGE;
		default:
			if (optopt && optopt < 256 && argv[optind - 1][1] != '-')
				sp_cli_error("run: unknown option -%c; see sallyport run --help",
					     optopt);
			else if (optopt) /* a flag with =value */
				sp_cli_error("run: %.60s takes no value", argv[optind - 1]);
			else
				return bad_option(argv[optind - 1]);
			return SP_EXIT_USAGE;
		}
	}
	if (r)
		return r;
	if (optind >= argc) {
		sp_cli_error("run: no command; usage: sallyport run --allow HOST -- COMMAND");
		return SP_EXIT_USAGE;
	}
	o->command = argv + optind;
	if (!o->command[0][0]) {
		sp_cli_error("run: the command is an empty word");
		return SP_EXIT_USAGE;
	}
	return 0;
}

static void free_options(struct options *o)
{
	free(o->allow);
	free(o->deny);
	free(o->resolvers);
}

/* ---- policy --------------------------------------------------------------------------------- */

#define RESOLV_CONF "/etc/resolv.conf"

static int resolve_system(struct sp_policy *policy, struct sp_nameservers *servers,
			  struct sp_error **err)
{
	const char *addresses[SP_RESOLVERS_MAX];
	int r;

	if (!sp_policy_wants_system_resolvers(policy))
		return 0;
	r = sp_resolv_load(RESOLV_CONF, servers);
	if (r)
		return sp_error_set(err, r, RESOLV_CONF ": %s", strerror(-r));
	for (size_t i = 0; i < servers->len; i++)
		addresses[i] = servers->text[i];
	return sp_policy_resolve_system(policy, addresses, servers->len, err);
}

/* Names of the hosts file, which programs ask before DNS. */
static void take_hosts(const struct options *o, struct sp_policy *policy)
{
	int r = sp_hosts_load("/etc/hosts", policy);

	if (r == 0 || o->quiet)
		return;
	if (r == 1)
		sp_cli_warn("/etc/hosts has more allowed names than the %d that are taken from it",
			    SP_HOSTS_MAX);
	else
		sp_cli_warn("/etc/hosts is not used: %s",
			    r == -EPERM ? "somebody else than root can write it" : strerror(-r));
}

static int load_policy(struct run *run, struct sp_error **err)
{
	const struct options *o = &run->options;
	int r;

	r = o->policy ? sp_policy_load(o->policy, &run->policy, err)
		      : sp_policy_new(&run->policy, err);
	/* Each call puts its targets first, so the denies come last and end up on top. */
	if (!r && o->allow_len)
		r = sp_policy_prepend(run->policy, SP_ACTION_ALLOW, o->allow, o->allow_len,
				      "--allow", err);
	if (!r && o->deny_len)
		r = sp_policy_prepend(run->policy, SP_ACTION_DENY, o->deny, o->deny_len, "--deny",
				      err);
	if (!r && o->default_action) {
		r = sp_policy_set_default(run->policy, o->default_action, err);
		if (r)
			sp_error_wrap(err, r, "--default");
	}
	if (!r && o->mode) {
		r = sp_policy_set_mode(run->policy, o->mode, err);
		if (r)
			sp_error_wrap(err, r, "--mode");
	}
	if (!r && o->resolvers_len) {
		r = sp_policy_set_resolvers(run->policy, o->resolvers, o->resolvers_len, err);
		if (r)
			sp_error_wrap(err, r, "--resolver");
	}
	if (!r)
		r = sp_policy_kernel_only(run->policy, err);
	if (!r)
		r = resolve_system(run->policy, &run->servers, err);
	if (!r)
		take_hosts(o, run->policy);
	return r;
}

/* As the user: could what is found under this path be made another, by a rename or otherwise? */
static int may_replace(const char *path)
{
	char at[PATH_MAX];
	struct stat entry, dir;
	uid_t uid = getuid();

	if (lstat(path, &entry) || snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
		return 0;
	if (!access(path, W_OK) || entry.st_uid == uid)
		return 1;
	for (char *slash = strrchr(at, '/'); slash; slash = strrchr(at, '/')) {
		slash[slash == at] = '\0';
		if (stat(at, &dir))
			return 0;
		if (dir.st_uid == uid)
			return 1;
		if (!access(at, W_OK) && (!(dir.st_mode & S_ISVTX) || entry.st_uid == uid))
			return 1;
		if (slash == at)
			break;
		entry = dir;
	}
	return 0;
}

/* 1: the user can change the policy that root reads here next time. */
static int may_change_policy(void *data)
{
	char given[PATH_MAX], resolved[PATH_MAX], here[PATH_MAX];
	const char *path = data;

	if (*path != '/') {
		if (!getcwd(here, sizeof(here)) ||
		    snprintf(given, sizeof(given), "%s/%s", here, path) >= (int)sizeof(given))
			return 0;
		path = given;
	}
	return may_replace(path) || (realpath(path, resolved) && may_replace(resolved));
}

/*
 * Not for root, who can change any file of the host (SECURITY.md has that), and not for what is
 * read from standard input.
 */
static void warn_policy_writable(const struct run *run, const struct sp_identity *identity)
{
	char *path = (char *)run->options.policy;

	if (!path || !strcmp(path, "-") || run->options.quiet || !identity->change ||
	    !identity->uid)
		return;
	if (sp_identity_do(identity, may_change_policy, path) == 1)
		sp_cli_warn(
			"the policy %s can be changed by user %u, as which the command runs: it "
			"could grant the next run what it likes",
			path, identity->uid);
}

static void show_warnings(const struct run *run)
{
	struct sp_error *err = NULL;
	char **warnings = NULL;

	if (run->options.quiet)
		return;
	if (sp_policy_warnings(run->policy, &warnings, &err)) {
		sp_error_free(err);
		return;
	}
	for (char **warning = warnings; warning && *warning; warning++)
		sp_cli_warn("%s", *warning);
	sp_strings_free(warnings);
}

/* ---- events --------------------------------------------------------------------------------- */

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) *
		    0x100000001b3ULL; /* FNV-1a: only a line on a screen rests on it */
	return h;
}

/*
 * What makes two denials the same to a reader. A name stands for its addresses and for the resolver
 * it was asked of; A and AAAA of one name are one denial.
 */
static uint64_t denial_key(const struct sp_event *event)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	h = hash(h, &event->kind, sizeof(event->kind));
	h = hash(h, &event->verdict, sizeof(event->verdict));
	h = hash(h, &event->reason, sizeof(event->reason));
	h = hash(h, &event->protocol, sizeof(event->protocol));
	h = hash(h, &event->rule, sizeof(event->rule));
	h = hash(h, event->name, event->name_len <= sizeof(event->name) ? event->name_len : 0);
	h = hash(h, event->sni, event->sni_len <= sizeof(event->sni) ? event->sni_len : 0);
	if (!event->name_len)
		h = hash(h, event->daddr, sizeof(event->daddr));
	if (event->kind != SP_EVENT_DNS)
		h = hash(h, &event->dport, sizeof(event->dport));
	if (event->kind == SP_EVENT_SOCKET)
		h = hash(h, &event->detail, sizeof(event->detail));
	return h ? h : 1;
}

/* Should this denial be said now? `ret_more`: how many like it were not said since the last time.
 */
static bool worth_saying(struct run *run, const struct sp_event *event, uint64_t *ret_more)
{
	uint64_t key = denial_key(event);
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	for (size_t i = 0; i < SEEN_MAX; i++) {
		struct seen *seen = &run->seen[(key + i) & (SEEN_MAX - 1)];

		if (!seen->key) {
			if (run->different >= SEEN_MAX * 3 / 4)
				break;
			run->different++;
			run->answers += event->kind == SP_EVENT_ANSWER;
			*seen = (struct seen){.key = key, .said_ns = now_ns};
			*ret_more = 0;
			return true;
		}
		if (seen->key != key)
			continue;
		if (now_ns - seen->said_ns < SAY_AGAIN_NS) {
			seen->since++;
			return false;
		}
		*ret_more = seen->since;
		seen->since = 0;
		seen->said_ns = now_ns;
		return true;
	}
	if (!run->too_many)
		sp_output_line(
			&run->denials,
			run->options.json
				? "{\"warning\":\"further denials are only counted\"}"
				: "sallyport: further denials are only counted; --events has all");
	run->too_many = true;
	return false;
}

static void say_denial(struct run *run, const struct sp_event *event)
{
	static const char prefix[] = "sallyport: "; /* which sp_event_line() puts there */
	char *line = NULL, *whole = NULL;
	const char *text;
	uint64_t more = 0;

	if (!worth_saying(run, event, &more))
		return;
	if (run->options.json) {
		if (sp_event_json(event, run->policy, &line))
			run->unprintable++;
		else
			sp_output_line(&run->denials, line);
		free(line);
		return;
	}
	if (sp_event_line(event, run->policy, &line)) {
		run->unprintable++;
		return;
	}
	text = strncmp(line, prefix, sizeof(prefix) - 1) ? line : line + sizeof(prefix) - 1;
	if (asprintf(&whole, "%ssallyport:%s %s", run->colour ? "\033[1;31m" : "",
		     run->colour ? "\033[0m" : "", text) >= 0) {
		if (more) {
			char *counted = NULL;

			if (asprintf(&counted, "%s (and %llu times before)", whole,
				     (unsigned long long)more) >= 0) {
				free(whole);
				whole = counted;
			}
		}
		sp_output_line(&run->denials, whole);
		free(whole);
	}
	free(line);
}

static void each_event(const struct sp_event *event, void *data)
{
	struct run *run = data;

	sp_event_log_add(&run->events, event, run->policy);
	/* A refused teacher (ANSWER) says why a name that resolved cannot be reached: say it too.
	 */
	if (event->verdict != SP_VERDICT_ALLOWED && event->kind != SP_EVENT_CLOSE &&
	    /* browsers ask for these of every host, and do without */
	    event->reason != SP_REASON_DNS_STRIPPED && !run->options.quiet)
		say_denial(run, event);
}

/* ---- signals and job control ---------------------------------------------------------------- */

static const int passed_on[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
				SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH};
/* Blocked, so that the parent does not stop before the command had its say. */
static const int swallowed[] = {SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU};

static void fill_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(set, passed_on[i]);
	for (size_t i = 0; i < sizeof(swallowed) / sizeof(swallowed[0]); i++)
		sigaddset(set, swallowed[i]);
}

static void block_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, normal = {.sa_handler = SIG_DFL};
	sigset_t set;

	fill_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	/* `ulimit -f`: a file of events that may not grow is an error, not the end of the loop. */
	sigaction(SIGXFSZ, &ignore, NULL);
	/* Inherited as ignored, it would reap the command before its status can be read. */
	sigaction(SIGCHLD, &normal, NULL);
}

/* A signal that asks to end, came while there was no command yet, and was not ignored: its number.
 */
static int ended_early(void)
{
	static const int ends[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	struct sigaction action;
	sigset_t pending;

	if (sigpending(&pending))
		return 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sigismember(&pending, ends[i]) && !sigaction(ends[i], NULL, &action) &&
		    action.sa_handler != SIG_IGN)
			return ends[i];
	return 0;
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

/* The command stopped: so does sallyport, and the shell gets its terminal back. */
static void stop_too(struct run *run, int number)
{
	pid_t group = getpgid(run->child);
	int terminal = open_terminal();
	sigset_t set;

	run->terminal_was_childs =
		terminal >= 0 && group > 0 && group != getpgrp() && tcgetpgrp(terminal) == group;
	if (terminal >= 0)
		close(terminal);
	if (number == SIGSTOP) {
		kill(getpid(), SIGSTOP);
		return;
	}
	/* Handlers are at their default: unblocking stops right here (in an orphaned group the
	 * kernel discards the signal instead, and the loop goes on). */
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	/* cppcheck-suppress unreachableCode ; the signal is blocked, so raise() returns */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void continue_child(struct run *run)
{
	pid_t group = getpgid(run->child);
	int terminal;

	if (!run->terminal_was_childs || group <= 0 || group == getpgrp()) {
		kill(run->child, SIGCONT);
		return;
	}
	/* A shell with a group of its own had the terminal, and `fg` gave it to sallyport's group.
	 */
	run->terminal_was_childs = false;
	terminal = open_terminal();
	if (terminal >= 0) {
		if (tcgetpgrp(terminal) == getpgrp())
			tcsetpgrp(terminal, group);
		close(terminal);
	}
	kill(-group, SIGCONT);
}

/* The cgroup of a process in the unified hierarchy; a zombie's too. */
static bool cgroup_of(pid_t pid, char cgroup[PATH_MAX])
{
	char path[64], line[PATH_MAX + 8];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%ld/cgroup", (long)pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::", 3);
	}
	if (file)
		fclose(file);
	if (found)
		snprintf(cgroup, PATH_MAX, "%s", line + 3);
	return found;
}

static bool in_sandbox(const struct run *run, pid_t pid)
{
	size_t len = strlen(run->cgroup);
	char cgroup[PATH_MAX];

	if (pid == run->child)
		return true;
	return len && cgroup_of(pid, cgroup) && !strncmp(cgroup, run->cgroup, len) &&
	       (cgroup[len] == '/' || cgroup[len] == ' ' || !cgroup[len]);
}

/*
 * Does the command have this signal already? A signal to the group has reached it too, one to this
 * process has not, and they look the same. What the sandbox sends can only be one to the group:
 * nothing in there knows this process. (Where Landlock has scopes it cannot even do that.) From
 * outside both are possible, and twice is better than not at all.
 */
static bool child_has_it(const struct run *run, const struct signalfd_siginfo *info)
{
	pid_t sender = (pid_t)info->ssi_pid;

	if (info->ssi_code > 0) /* the terminal: the whole group has it */
		return getpgid(run->child) == getpgrp();
	if (sender == 0 || sender == getpid()) /* 0: outside this pid namespace */
		return false;
	return in_sandbox(run, sender);
}

static void note_terminal(struct run *run)
{
	int terminal = open_terminal();

	run->terminal_was_ours = terminal >= 0 && tcgetpgrp(terminal) == getpgrp();
	if (terminal >= 0)
		close(terminal);
}

/*
 * A shell gives the terminal back to the group that it was started in when it ends. In the PID
 * namespace it cannot, since that group has no number there; and what the command left may have
 * taken it. What is neither dead nor the sandbox's has the terminal by right: the caller's shell
 * gave it.
 */
static void reclaim_terminal(struct run *run)
{
	int terminal = run->terminal_was_ours ? open_terminal() : -1;
	pid_t group;

	if (terminal < 0)
		return;
	group = tcgetpgrp(terminal);
	/* SIGTTOU is blocked. */
	if (group > 0 && group != getpgrp() &&
	    ((kill(-group, 0) && errno == ESRCH) || in_sandbox(run, group)))
		tcsetpgrp(terminal, getpgrp());
	close(terminal);
}

static void handle_signals(struct run *run, int fd, bool *ret_child_changed, bool at_start)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		int number = (int)info.ssi_signo;

		if (number == SIGCHLD) {
			*ret_child_changed = true;
		} else if (number == SIGCONT) {
			continue_child(run);
		} else if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
			/* `kill -TSTP PID` of the parent alone is meant for the command. */
			if (info.ssi_code <= 0 && !child_has_it(run, &info))
				kill(run->child, number);
		} else if (at_start || !child_has_it(run, &info)) {
			/* At the start it is not known which came before the fork. */
			kill(run->child, number);
		}
	}
}

/* ---- the loop ------------------------------------------------------------------------------- */

/*
 * As PID 1 of a container: what nobody waits for becomes ours. It is looked at first, so that the
 * command's status, and init's end, are left for those who ask for them.
 */
static void reap_strangers(const struct run *run)
{
	siginfo_t info;

	if (getpid() != 1)
		return;
	for (;;) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) || !info.si_pid ||
		    info.si_pid == run->child || info.si_pid == run->pids.init)
			return;
		waitpid(info.si_pid, NULL, WNOHANG);
	}
}

/* True when the command is gone; its wait status in *ret_status. */
static bool reap(struct run *run, int *ret_status)
{
	int status;
	pid_t pid;

	reap_strangers(run);
	for (;;) {
		pid = waitpid(run->child, &status, WNOHANG | WUNTRACED);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return false;
		if (!WIFSTOPPED(status)) {
			*ret_status = status;
			return true;
		}
		stop_too(run, WSTOPSIG(status));
	}
}

static void __attribute__((format(printf, 2, 3))) say(struct run *run, const char *format, ...)
{
	char *text = NULL, *line = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text && asprintf(&line, "sallyport: %s", text) >= 0)
		sp_output_line(&run->denials, line);
	free(line);
	free(text);
}

static int watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static bool flush_outputs(struct run *run)
{
	bool left = sp_output_flush(&run->denials);

	return sp_event_log_flush(&run->events) || left;
}

/* Until nothing is left; bounded, since processes that are left can make events for ever. */
static void drain(struct run *run)
{
	for (int i = 0; i < 1000 && sp_box_drain(run->box, each_event, run) > 0; i++)
		;
}

static int loop(struct run *run, int *ret_status)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals = -1, r = 0;
	bool changed = true, left = false;
	struct epoll_event events[4];
	char text[512];
	sigset_t set;

	fill_set(&set);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (epoll < 0 || signals < 0)
		r = -errno;
	if (!r)
		r = watch(epoll, signals);
	if (!r)
		r = watch(epoll, sp_box_fd(run->box));
	if (r) {
		/* The command runs and is enforced; without the loop nothing could be answered. */
		kill(run->child, SIGKILL);
		while (waitpid(run->child, ret_status, 0) < 0 && errno == EINTR)
			;
		goto out;
	}
	if (run->follow)
		watch(epoll, sp_follow_fd(run->follow));
	handle_signals(run, signals, &changed, true);
	for (;;) {
		int len;

		if (changed && reap(run, ret_status))
			break;
		changed = false;
		len = epoll_wait(epoll, events, 4, left ? 50 : -1);
		if (len < 0 && errno != EINTR) {
			r = -errno;
			break;
		}
		for (int i = 0; i < len; i++) {
			if (events[i].data.fd == signals) {
				handle_signals(run, signals, &changed, false);
				continue;
			}
			if (events[i].data.fd == sp_follow_fd(run->follow)) {
				sp_follow_dispatch(run->follow, text, sizeof(text));
				if (text[0])
					say(run, "%s", text);
				continue;
			}
			r = sp_box_dispatch(run->box, each_event, run);
			if (r < 0) {
				sp_cli_warn("events can no longer be read: %s; the sandbox stays "
					    "enforced",
					    strerror(-r));
				epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			}
			r = 0;
		}
		left = flush_outputs(run);
	}
	drain(run);
out:
	if (signals >= 0)
		close(signals);
	if (epoll >= 0)
		close(epoll);
	return r;
}

/* ---- the end -------------------------------------------------------------------------------- */

static unsigned int left_behind(struct run *run)
{
	struct timespec pause = {.tv_nsec = 5 * 1000L * 1000};
	bool pids = run->pids.init > 0;
	unsigned int count;

	/* Init ends when it is alone; it waits for those that are just ending. */
	if (pids && sp_pids_ended(&run->pids, SETTLE_MS))
		return 0;
	if (pids) {
		count = sp_box_processes(run->box);
		/* init alone has nothing to wait for but its turn on a busy machine */
		if (count <= 1 && sp_pids_ended(&run->pids, ALONE_MS))
			return 0;
		return count ? count - 1 : 0;
	}
	for (int ms = 0; ms < SETTLE_MS && sp_box_populated(run->box) == 1; ms += 5)
		nanosleep(&pause, NULL);
	return sp_box_populated(run->box) == 1 ? sp_box_processes(run->box) : 0;
}

static uint64_t lost_events(const struct sp_sandbox *counters)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < SP_EVENT_KINDS; i++)
		lost += counters->dropped[i];
	return lost;
}

static void summary_json(struct run *run, const struct sp_sandbox *c, int status, unsigned int left)
{
	char *name = sp_cli_json_string(sp_policy_name(run->policy)), *line = NULL,
	     dropped[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < SP_EVENT_KINDS; i++)
		used += (size_t)snprintf(dropped + used, sizeof(dropped) - used, "%s\"%s\":%llu",
					 i ? "," : "", sp_event_kind_name((uint8_t)i),
					 (unsigned long long)c->dropped[i]);
	if (name &&
	    asprintf(&line,
		     "{\"summary\":{\"sandbox\":%u,\"policy\":%s,\"mode\":\"%s\",\"status\":%d,"
		     "\"allowed\":%llu,\"denied\":%llu,\"would_deny\":%llu,"
		     "\"different\":%zu,\"bytes_out\":%llu,\"bytes_in\":%llu,"
		     "\"packets_dropped\":%llu,\"events_dropped\":{%s},"
		     "\"requests_dropped\":%llu,\"events_not_written\":%llu,"
		     "\"events_beyond_rate\":%llu,\"events_beyond_size\":%llu,"
		     "\"processes_left\":%u}}",
		     sp_box_id(run->box), name,
		     sp_policy_mode(run->policy) == SP_MODE_AUDIT_ONLY ? "audit_only" : "enforce",
		     status, (unsigned long long)c->decisions[SP_VERDICT_ALLOWED],
		     (unsigned long long)c->decisions[SP_VERDICT_DENIED],
		     (unsigned long long)c->decisions[SP_VERDICT_WOULD_DENY],
		     run->different - run->answers, (unsigned long long)c->bytes_out,
		     (unsigned long long)c->bytes_in, (unsigned long long)c->packets_dropped,
		     dropped, (unsigned long long)c->requests_dropped,
		     (unsigned long long)sp_event_log_missing(&run->events) + run->unprintable,
		     (unsigned long long)run->events.lost[SP_LOSS_RATE],
		     (unsigned long long)run->events.lost[SP_LOSS_SIZE], left) >= 0)
		sp_output_line(&run->denials, line);
	free(line);
	free(name);
}

static void summary_text(struct run *run, const struct sp_sandbox *c, int status, unsigned int left)
{
	uint64_t lost = lost_events(c);

	if (c->decisions[SP_VERDICT_WOULD_DENY])
		say(run,
		    "%llu would have been denied (%zu different), %llu allowed; audit_only "
		    "blocks nothing",
		    (unsigned long long)c->decisions[SP_VERDICT_WOULD_DENY],
		    run->different - run->answers,
		    (unsigned long long)c->decisions[SP_VERDICT_ALLOWED]);
	else if (c->decisions[SP_VERDICT_DENIED])
		say(run, "%llu denied (%zu different), %llu allowed",
		    (unsigned long long)c->decisions[SP_VERDICT_DENIED],
		    run->different - run->answers,
		    (unsigned long long)c->decisions[SP_VERDICT_ALLOWED]);
	if (lost)
		say(run, "%llu events were lost: the ring was full", (unsigned long long)lost);
	if (left && run->options.kill_left)
		say(run, "%u process%s left and killed", left, left == 1 ? " was" : "es were");
	else if (left)
		say(run, "%u process%s left in the sandbox and stay%s enforced (%s)", left,
		    left == 1 ? " is" : "es are", left == 1 ? "s" : "",
		    sp_box_cgroup_path(run->box));
	if (status == SP_EXIT_SIGNAL + SIGSYS)
		say(run, "the command was killed by SIGSYS: 32-bit (i386, x32) system calls are "
			 "refused, since their sockets cannot be seen");
}

/* Said even under --quiet: whoever keeps the file rests on it. */
static void say_missing(const struct run *run)
{
	const struct sp_event_log *log = &run->events;
	uint64_t missing = sp_event_log_missing(log);
	char bounds[160] = "";

	if (!missing)
		return;
	if (log->lost[SP_LOSS_RATE] || log->lost[SP_LOSS_SIZE])
		snprintf(bounds, sizeof(bounds),
			 " (%llu beyond --events-rate, %llu beyond --events-size)",
			 (unsigned long long)log->lost[SP_LOSS_RATE],
			 (unsigned long long)log->lost[SP_LOSS_SIZE]);
	sp_cli_error("%s: %llu events were not written%s%s%s",
		     strcmp(run->options.events, "-") ? run->options.events : "standard output",
		     (unsigned long long)missing, bounds, log->output.error ? ": " : "",
		     log->output.error ? strerror(log->output.error) : "");
}

static void finish(struct run *run, int status)
{
	struct sp_sandbox counters = {0};
	unsigned int left = left_behind(run);
	bool events = run->options.events != NULL;

	sp_box_counters(run->box, &counters);
	if (events) {
		sp_event_log_close(&run->events, lost_events(&counters), LAST_FLUSH_MS);
		say_missing(run);
	}
	if (!run->options.quiet) {
		if (run->options.json)
			summary_json(run, &counters, status, left);
		else
			summary_text(run, &counters, status, left);
	}
	sp_output_close(&run->denials, 500);
}

/* ---- the command ---------------------------------------------------------------------------- */

/*
 * The target user may have been given a part of the cgroup tree (systemd does for user@.service). A
 * process of that user outside the sandbox then leads out of it, through /proc/PID/root.
 */
static void warn_delegated(const struct run *run, const struct sp_identity *identity)
{
	struct stat st;

	if (run->options.quiet || !identity->change || !identity->uid ||
	    fstatat(sp_box_cgroup_fd(run->box), "../cgroup.procs", &st, 0))
		return;
	if (st.st_uid == identity->uid)
		sp_cli_warn(
			"the cgroup above the sandbox belongs to user %u, who can move processes "
			"out of it; use --user with another user",
			identity->uid);
}

/* What is hidden from the command. An agent that somebody counts on is said. */
static int find_hidden(struct run *run, const struct sp_identity *identity,
		       struct sp_hide_list *ret_hide, struct sp_error **err)
{
	bool change = identity->change;
	int r = sp_hide_find(change ? identity->uid : getuid(), change ? identity->gid : getgid(),
			     change ? identity->home : getenv("HOME"),
			     sp_policy_mode(run->policy) != SP_MODE_AUDIT_ONLY,
			     &run->options.shares, ret_hide);

	if (r && sp_policy_mode(run->policy) == SP_MODE_AUDIT_ONLY) {
		if (!run->options.quiet)
			sp_cli_warn("cannot look for sockets that answer names without DNS (is "
				    "/proc mounted?): %s; going on, since audit_only never blocks",
				    strerror(-r));
		r = 0;
	}
	if (r)
		return sp_error_set(err, r,
				    "cannot look for the helpers that are to be hidden (is /proc "
				    "mounted?): %s",
				    strerror(-r));
	if (ret_hide->agent && !run->options.quiet)
		sp_cli_warn(
			"the ssh agent at SSH_AUTH_SOCK (%s) is forwarded from another machine, "
			"or held by a program that is not known to be an agent: it is hidden; "
			"--share forwarded-agent gives it to the command",
			ret_hide->agent);
	return 0;
}

/*
 * bwrap as root counts on CAP_SYS_ADMIN, unless it is told to make a user namespace; and there the
 * kernel refuses it a new /proc, since a part of ours is read-only (root would write to it by that
 * name). It says no more than "Operation not permitted".
 */
static void warn_bwrap(const struct run *run, const struct sp_launch *launch)
{
	const char *command = run->options.command[0], *base = strrchr(command, '/');
	uid_t uid = launch->identity->change ? launch->identity->uid : getuid();
	int user_namespace = 0, proc = 0, i;

	base = base ? base + 1 : command;
	if (uid || !launch->enforce || launch->keep_caps || run->options.quiet)
		return;
	if (strcmp(base, "srt") == 0) {
		sp_cli_warn(
			"srt as root needs \"enableWeakerNestedSandbox\": true in its settings, "
			"or to be started as another user (--user)");
		return;
	}
	if (strcmp(base, "bwrap") != 0)
		return;
	for (i = 1; run->options.command[i]; i++) {
		const char *argument = run->options.command[i];

		user_namespace |= strncmp(argument, "--unshare-user", 14) == 0 ||
				  strcmp(argument, "--unshare-all") == 0;
		proc |= strcmp(argument, "--proc") == 0;
	}
	if (!user_namespace || proc)
		sp_cli_warn(
			"bwrap as root needs --unshare-user, and cannot have --proc (--bind /proc "
			"/proc is possible): or start it as another user (--user)");
}

static int start(struct run *run, const struct sp_identity *identity, struct sp_error **err)
{
	struct sp_hide_list hide = {0};
	struct sp_launch launch = {
		.argv = run->options.command,
		.cgroup_fd = sp_box_cgroup_fd(run->box),
		.enforce = sp_policy_mode(run->policy) != SP_MODE_AUDIT_ONLY,
		.keep_caps = run->options.keep_caps,
		.keep_families = run->options.keep_families,
		.refuse_pages = !sp_engine_knows_shared(run->engine) && !run->options.keep_sendfile,
		.landlock = run->options.landlock,
		.share_pids = run->options.shares.pids,
		.share_abstract = sp_shares_abstract(&run->options.shares),
		.hide = &hide,
		.identity = identity,
		.before = &run->before,
	};
	struct sp_launched launched = {0};
	char *save = NULL;
	int r;

	if (!run->options.quiet && run->options.keep_families && launch.enforce &&
	    sp_engine_has_lsm(run->engine))
		sp_cli_warn(
			"--keep-families: this kernel also refuses families by an LSM hook, which "
			"stays");
	if (!run->options.quiet && run->options.keep_sendfile && launch.enforce &&
	    !sp_engine_knows_shared(run->engine))
		sp_cli_warn(
			"--keep-sendfile: on this kernel (`sallyport doctor`) the command can "
			"change "
			"queries, ClientHellos and request heads after they were judged: denied "
			"names can be asked for and reached");
	r = find_hidden(run, identity, &hide, err);
	if (r)
		return SP_EXIT_HOST;
	warn_bwrap(run, &launch);
	note_terminal(run);
	r = sp_launch_start(&launch, &launched, err);
	sp_hide_list_free(&hide);
	run->child = launched.pid;
	run->pids = launched.pids;
	if (!r && !cgroup_of(run->child, run->cgroup))
		run->cgroup[0] = '\0';
	for (char *line = launched.warnings ? strtok_r(launched.warnings, "\n", &save) : NULL;
	     line && !run->options.quiet; line = strtok_r(NULL, "\n", &save))
		sp_cli_warn("%s; going on, since audit_only never blocks", line);
	free(launched.warnings);
	if (!r)
		return 0;
	if (launched.stage == SP_STAGE_EXEC)
		return r == -ENOENT ? SP_EXIT_NOT_FOUND : SP_EXIT_NOT_EXECUTABLE;
	return SP_EXIT_HOST;
}

static int run_in_box(struct run *run, const struct sp_identity *identity)
{
	struct sp_error *err = NULL;
	unsigned int removed;
	int status = 0, r;

	block_signals();
	r = sp_engine_open(&run->engine, &err);
	if (r) {
		sp_cli_error_object(err);
		return SP_EXIT_HOST;
	}
	if (sp_engine_collect(run->engine, &removed,
			      &err)) { /* of others: no reason not to start */
		sp_error_free(err);
		err = NULL;
	}
	r = sp_box_create(run->engine, run->policy, &run->box, &err);
	if (r) {
		/* A policy that does not fit (too many rules for one name) shows only now. */
		bool policy = r == -E2BIG || (err && err->path);

		sp_cli_error_object(err);
		return policy ? SP_EXIT_USAGE : SP_EXIT_HOST;
	}
	sp_box_allowed_events(run->box, run->options.events != NULL);
	warn_delegated(run, identity);
	r = sp_follow_open(RESOLV_CONF, identity, run->policy, run->box, &run->servers,
			   &run->follow);
	if (r < 0 && !run->options.quiet)
		sp_cli_warn("changes of " RESOLV_CONF " are not followed: %s", strerror(-r));
	r = ended_early();
	if (r)
		return SP_EXIT_SIGNAL + r;
	r = start(run, identity, &err);
	if (r) {
		sp_cli_error_object(err);
		return r;
	}
	r = loop(run, &status);
	reclaim_terminal(run);
	if (r) {
		sp_cli_error("cannot wait for the command: %s", strerror(-r));
		return SP_EXIT_HOST;
	}
	status = WIFSIGNALED(status) ? SP_EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
	finish(run, status);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	struct sp_identity identity = {0};
	struct sp_error *err = NULL;
	int status;

	if (!run) {
		sp_cli_error("%s", strerror(ENOMEM));
		return SP_EXIT_HOST;
	}
	status = parse_options(argc, argv, &run->options);
	if (status) {
		status = status < 0 ? SP_EXIT_OK : status;
		goto out;
	}
	sp_before_save(&run->before);
	run->events.rate = run->options.events_rate;
	run->events.size = run->options.events_size;
	status = SP_EXIT_USAGE;
	if (load_policy(run, &err) || sp_identity_find(run->options.user, &identity, &err))
		goto fail;
	show_warnings(run);
	warn_policy_writable(run, &identity);
	if (run->options.events &&
	    sp_event_log_open(run->options.events, &identity, &run->events, &err))
		goto fail;
	status = SP_EXIT_HOST;
	if (sp_launch_check_standard(&err)) {
		if (sp_policy_mode(run->policy) != SP_MODE_AUDIT_ONLY)
			goto fail;
		sp_cli_warn("%s", err->message);
		sp_error_free(err);
		err = NULL;
	}
	if (sp_output_wrap(STDERR_FILENO, &run->denials)) {
		sp_error_set(&err, -EIO, "standard error: %s", strerror(errno));
		goto fail;
	}
	run->colour = !run->options.json && sp_cli_colour(STDERR_FILENO);
	fflush(NULL);
	status = run_in_box(run, &identity);
	goto out;
fail:
	sp_cli_error_object(err);
out:
	sp_output_close(&run->denials, 0);
	sp_event_log_close(&run->events, 0, 0);
	sp_follow_close(run->follow);
	if (run->box)
		sp_box_close(run->box, run->options.kill_left);
	if (run->engine) {
		/* what the first time took the cgroup of, and had to leave: by now it is over */
		sp_engine_collect(run->engine, NULL, NULL);
		sp_engine_close(run->engine);
	}
	sp_policy_free(run->policy);
	sp_identity_free(&identity);
	free_options(&run->options);
	free(run);
	return status;
}
