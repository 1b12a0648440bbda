/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reasons.h - why something was allowed or denied: one code, one stable token (in events, audit and
 * --json) and one sentence for a person. Codes are part of the ABI: append, never renumber.
 */
#ifndef SALLYPORT_REASONS_H
#define SALLYPORT_REASONS_H

/* X(CODE, "token", "sentence") */
#define SP_REASONS(X)                                                                              \
	X(NONE, "none", "no reason recorded")                                                      \
	/* the policy decided */                                                                   \
	X(RULE, "rule", "a rule of the policy says so")                                            \
	X(DEFAULT, "default", "no rule matches, and the default decides")                          \
	X(ASK, "ask", "the policy wants to ask, and nobody can be asked here")                     \
	X(RESOLVER, "resolver", "a trusted resolver")                                              \
	X(INBOUND, "inbound", "reply on a connection that the sandbox accepted")                   \
	X(INBOUND_DENIED, "inbound_denied", "the policy denies inbound connections")               \
	X(LOOPBACK_OWN, "loopback_own", "a listener of the same sandbox")                          \
	X(LOOPBACK_FOREIGN, "loopback_foreign", "the loopback listener is not of this sandbox")    \
	X(LOOPBACK_DENIED, "loopback_denied", "the policy denies loopback")                        \
	X(NO_LISTENER, "no_listener", "nothing listens there")                                     \
	/* addresses */                                                                            \
	X(NOT_LEARNED, "not_learned", "no allowed name resolved to this address in this sandbox")  \
	X(EXPIRED, "expired", "the DNS answer that named this address has expired")                \
	X(UNTRUSTED_RESOLVER, "untrusted_resolver", "DNS goes to trusted resolvers only")          \
	X(QUIC, "quic", "QUIC is denied; clients fall back to TCP")                                \
	/* DNS */                                                                                  \
	X(DNS_MALFORMED, "dns_malformed", "not a well-formed DNS message")                         \
	X(DNS_NOT_QUERY, "dns_not_query", "not a standard query (opcode, QR or class)")            \
	X(DNS_COUNTS, "dns_counts", "not exactly one question, with at most one OPT beside it")    \
	X(DNS_TRAILING, "dns_trailing", "bytes behind the end of the DNS message")                 \
	X(DNS_POINTER, "dns_pointer", "a compression pointer in a question")                       \
	X(DNS_TYPE, "dns_type", "this query type is not allowed")                                  \
	X(DNS_PTR, "dns_ptr", "reverse look-ups are for addresses that were learned")              \
	X(DNS_SEGMENT, "dns_segment", "DNS over TCP must come as whole messages")                  \
	X(DNS_BATCH, "dns_batch", "several DNS messages in one send (GSO)")                        \
	X(PENDING_FULL, "pending_full", "too many unanswered queries")                             \
	X(REBINDING, "rebinding", "the answer points into a special address range")                \
	X(ANSWER_UNASKED, "answer_unasked", "no pending query matches this answer")                \
	X(ANSWER_MALFORMED, "answer_malformed", "the answer cannot be parsed")                     \
	X(ANSWER_FOREIGN_NETNS, "answer_foreign_netns",                                            \
	  "asked outside the home network namespace")                                              \
	X(LEARNED_FULL, "learned_full", "too many learned addresses")                              \
	X(ANSWER_LEARNED, "learned", "the answer taught addresses")                                \
	/* names */                                                                                \
	X(NAME_BAD, "name_bad", "not a valid host name")                                           \
	X(NAME_LENGTH, "name_length", "name or label too long")                                    \
	X(NAME_LABELS, "name_labels", "too many labels")                                           \
	/* TLS */                                                                                  \
	X(TLS_NOT_TLS, "tls_not_tls", "the flow does not start with a TLS handshake")              \
	X(TLS_MALFORMED, "tls_malformed", "malformed ClientHello")                                 \
	X(TLS_NO_SNI, "tls_no_sni", "ClientHello without a server name")                           \
	X(TLS_SNI_MALFORMED, "tls_sni_malformed", "malformed or repeated server name")             \
	X(TLS_ECH, "tls_ech", "encrypted ClientHello is denied")                                   \
	X(TLS_TOO_LONG, "tls_too_long", "ClientHello longer than can be checked")                  \
	X(TLS_SECOND, "tls_second", "the second ClientHello names another host")                   \
	X(SNI_ADDRESS, "sni_address", "the server name was not resolved to this address here")     \
	/* HTTP */                                                                                 \
	X(HTTP_NOT_HTTP, "http_not_http", "the flow does not start with an HTTP/1 request")        \
	X(HTTP_MALFORMED, "http_malformed", "malformed HTTP request head")                         \
	X(HTTP_NO_HOST, "http_no_host", "HTTP request without a Host")                             \
	X(HTTP_HOST, "http_host", "malformed or repeated Host")                                    \
	X(HTTP_TOO_LONG, "http_too_long", "HTTP request head longer than can be checked")          \
	X(HTTP_FRAMING, "http_framing", "HTTP body framing that hides the next request")           \
	X(HOST_ADDRESS, "host_address", "the Host was not resolved to this address here")          \
	/* packets and flows */                                                                    \
	X(IP_MALFORMED, "ip_malformed", "malformed IP packet")                                     \
	X(IP_OPTIONS, "ip_options", "IPv4 options")                                                \
	X(IP_EXTENSION, "ip_extension", "IPv6 routing or unknown extension header")                \
	X(IP_FRAGMENT, "ip_fragment", "IP fragment")                                               \
	X(IP_PROTOCOL, "ip_protocol", "neither TCP nor UDP")                                       \
	X(IP_TTL, "ip_ttl", "hop limit too low for an inspected packet")                           \
	X(MIDSTREAM, "midstream", "the start of this flow was not seen")                           \
	X(OVERLAP, "overlap", "a retransmission with other bytes")                                 \
	X(URGENT, "urgent", "TCP urgent data, which is no part of the stream inspected")           \
	X(STREAMS_FULL, "streams_full", "too many handshakes under inspection")                    \
	/* sockets */                                                                              \
	X(SOCKET_TYPE, "socket_type", "raw and ping sockets are denied")                           \
	X(SOCKET_PROTOCOL, "socket_protocol", "only TCP and UDP sockets are allowed")              \
	X(SOCKET_FAMILY, "socket_family", "this socket family is denied")                          \
	X(SOCKET_OPTION, "socket_option", "this option hides what is sent from inspection")        \
	X(BIND_DNS, "bind_dns", "a sandbox may not serve DNS")                                     \
	X(INTERFACE, "interface", "no route leads there by this interface")                        \
	X(SHARED_PAGES, "shared_pages",                                                            \
	  "sent from pages that can still be written to (sendfile, splice)")                       \
	/* the product */                                                                          \
	X(NOT_READY, "not_ready", "the sandbox's policy is not in place")                          \
	X(NO_MEMORY, "no_memory", "out of memory for a decision")                                  \
	X(BUSY, "busy", "no scratch memory was free for a decision")                               \
	X(CLOSED, "closed", "the connection ended")                                                \
	/* destinations */                                                                         \
	X(MULTICAST, "multicast", "broadcast and multicast reach whoever listens: denied")         \
	X(LOOPBACK_WIRE, "loopback_wire", "a loopback address, sent by another interface than lo") \
	X(PROXY, "proxy", "a request for a proxy names a host that no rule allows by name")        \
	/* DNS */                                                                                  \
	X(DNS_STRIPPED, "dns_stripped", "HTTPS and SVCB records are withheld (tls.ech: strip)")    \
	X(LOOPBACK_SHARED, "loopback_shared", "sockets outside may share that listener's port")    \
	X(ANSWER_OWNER, "answer_owner",                                                            \
	  "the answer has addresses of another name, to which no CNAME leads")                     \
	X(ANSWER_LONG, "answer_long", "the answer has more records than are read")

/* SP_REASON_NONE, SP_REASON_RULE, ...: the codes of the list above, in its order. */
enum sp_reason {
#define X(code, token, text) SP_REASON_##code,
	/* clang-format off */
	SP_REASONS(X)
#undef X
	SP_REASON_COUNT
	/* clang-format on */
};

_Static_assert(SP_REASON_COUNT <= 256, "a reason is one byte in the ABI");

#endif
