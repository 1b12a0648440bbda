// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * test_marks.c - the trial whether the kernel keeps its mark of shared pages (kernel/pages.c), and
 * what it says of a kernel that does not: one is made of filters that never see the mark.
 */
#include <errno.h>

#include "tap.h"
#include "engine.h"
#include "marks.skel.h"

static struct marks_bpf *load(bool known)
{
	struct marks_bpf *marks = marks_bpf__open();

	if (!marks)
		return NULL;
	marks->rodata->shared_known = known;
	if (marks_bpf__load(marks)) {
		marks_bpf__destroy(marks);
		return NULL;
	}
	return marks;
}

static bool try(const struct marks_bpf *marks, int tcp, int udp)
{
	bool told = sp_pages_marked(tcp, udp, &marks->bss->seen);

	printf("# packets with what was handed over: %llu marked, %llu not\n",
	       (unsigned long long)marks->bss->seen.marked,
	       (unsigned long long)marks->bss->seen.unmarked);
	return told;
}

int main(void)
{
	struct marks_bpf *marks;
	int tcp, udp;

	libbpf_set_print(NULL);
	marks = load(false);
	if (!tap_ok(marks != NULL, "marks: filters that cannot see the mark load"))
		return 1;
	tcp = bpf_program__fd(marks->progs.sp_marks_tcp);
	udp = bpf_program__fd(marks->progs.sp_marks_udp);
	tap_ok(!try(marks, tcp, udp) && !marks->bss->seen.marked && marks->bss->seen.unmarked > 9,
	       "marks: a kernel that loses them is found out");
	tap_ok(!sp_pages_marked(-1, udp, &marks->bss->seen),
	       "marks: what cannot be tried does not hold");
	marks_bpf__destroy(marks);

	marks = load(true);
	if (!marks) {
		tap_skip("marks: this kernel keeps them", "they cannot be read before Linux 6.2");
	} else {
		tcp = bpf_program__fd(marks->progs.sp_marks_tcp);
		udp = bpf_program__fd(marks->progs.sp_marks_udp);
		tap_ok(try(marks, tcp, udp), "marks: this kernel keeps them");
		marks_bpf__destroy(marks);
	}
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}
