/* SPDX-License-Identifier: GPL-2.0-or-later */
/* addr.h - addresses as 16 bytes in network order, IPv4 as v4-mapped (RFC 4291 2.5.5.2). */
#ifndef SP_ADDR_H
#define SP_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool sp_addr_is_mapped(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr, prefix, sizeof(prefix)) == 0;
}

#endif
