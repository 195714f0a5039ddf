/* What generator.c, which drives connections, and protocols.c, which speaks, know of each other. */

#ifndef GENERATOR_H
#define GENERATOR_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *data;
    size_t length, room;
};

struct connection {
    int fd, number;
    struct buffer in, out;
    size_t sent;        /* of out */
    struct buffer puts; /* n requests, built once */
    int phase;
    int batch;          /* messages of the batch under way */
    int owed;           /* of these, still to be fetched */
    int awaited;        /* replies still to come in this phase */
    int got;            /* messages that this fetch has brought */
    struct buffer acks; /* what settles them, one piece each */
    size_t last_ack;    /* where the last piece begins */
    int arrays, bulks, entries; /* RESP: how far into a reply of XREADGROUP */
    long long began_ns;
    bool busy, writing;
};

/* Each of the first four appends to `out` and sets `awaited`. `hear` takes what is whole of the
 * bytes it is shown, counts `awaited` down, collects `acks`, and answers how many bytes it took. */
struct protocol {
    const char *name;
    void (*hello)(struct connection *);
    void (*put)(struct connection *, int n);
    void (*fetch)(struct connection *, int n);
    void (*ack)(struct connection *, int n, bool last);
    size_t (*hear)(struct connection *, char *data, size_t length);
};

enum { PUT, FETCH, ACK, HELLO };

extern const struct protocol protocols[];
extern struct buffer body;
extern bool every_ack_answered;

const char *phase_name(int phase);
void append(struct buffer *to, const void *data, size_t length);
void appendf(struct buffer *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
