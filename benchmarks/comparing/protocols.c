/* The four protocols: what a put, a fetch and an ack look like, and what their replies bring.
 *
 * qserver     PUT | GET count=n, then one ACK of n receipts
 * beanstalkd  put | n times reserve-with-timeout 0, then n times delete
 * redis       XADD | XREADGROUP COUNT n, then one XACK and one XDEL of n ids
 * nats        PUB with an answer | a pull of n, then n acks: each with an answer, or only the
 *             last of the run
 */

#define _GNU_SOURCE
#include "generator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The end of the line at `data`, behind its LF; NULL if it is not all there. */
static char *line_end(char *data, size_t length) {
    char *lf = memchr(data, '\n', length);
    return lf ? lf + 1 : NULL;
}

static bool begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

static _Noreturn void refused(struct connection *c, const char *line, const char *end) {
    die("the answer in phase %s was: %.*s", phase_name(c->phase), (int)(end - line - 1), line);
}

/* A first request for each, so that what accepting a connection costs is not counted. */
static void hello(struct connection *c, const char *request) {
    append(&c->out, request, strlen(request));
    c->awaited = 1;
}

/* qserver -------------------------------------------------------------------------------------- */

static void qserver_hello(struct connection *c) { hello(c, "PING\n"); }

static void qserver_put(struct connection *c, int n) {
    for (int i = 0; i < n; i++) {
        append(&c->out, "PUT q ", 6);
        append(&c->out, body.data, body.length);
        append(&c->out, "\n", 1);
    }
    c->awaited = n;
}

static void qserver_fetch(struct connection *c, int n) {
    appendf(&c->out, n == 1 ? "GET q\n" : "GET q count=%d\n", n);
    c->awaited = 1;
}

static void qserver_ack(struct connection *c, int n, bool last) {
    (void)n, (void)last;
    append(&c->out, "ACK", 3);
    append(&c->out, c->acks.data, c->acks.length);
    append(&c->out, "\n", 1);
    c->awaited = 1;
}

static size_t qserver_hear(struct connection *c, char *data, size_t length) {
    char *at = data, *end;
    while (c->awaited > 0 && (end = line_end(at, (size_t)(data + length - at)))) {
        if (at[0] == '*' && c->phase == FETCH) {
            char *space = memchr(at + 2, ' ', (size_t)(end - at - 2));
            append(&c->acks, at + 1, (size_t)(space - at - 1));
            c->got++;
        } else if (at[0] == 'O' && at[1] == 'K') {
            c->awaited--;
        } else {
            refused(c, at, end);
        }
        at = end;
    }
    return (size_t)(at - data);
}

/* beanstalkd ----------------------------------------------------------------------------------- */

static void beanstalkd_hello(struct connection *c) { hello(c, "use default\r\n"); }

static void beanstalkd_put(struct connection *c, int n) {
    for (int i = 0; i < n; i++) {
        appendf(&c->out, "put 0 0 120 %zu\r\n", body.length);
        append(&c->out, body.data, body.length);
        append(&c->out, "\r\n", 2);
    }
    c->awaited = n;
}

static void beanstalkd_fetch(struct connection *c, int n) {
    for (int i = 0; i < n; i++) append(&c->out, "reserve-with-timeout 0\r\n", 24);
    c->awaited = n;
}

static void beanstalkd_ack(struct connection *c, int n, bool last) {
    (void)last;
    append(&c->out, c->acks.data, c->acks.length);
    c->awaited = n;
}

static size_t beanstalkd_hear(struct connection *c, char *data, size_t length) {
    char *at = data, *end;
    while (c->awaited > 0 && (end = line_end(at, (size_t)(data + length - at)))) {
        if (begins(at, "RESERVED ")) {
            char *after_id;
            (void)strtoull(at + 9, &after_id, 10);
            size_t bytes = strtoull(after_id, NULL, 10) + 2;
            if ((size_t)(data + length - end) < bytes) break;
            append(&c->acks, "delete ", 7);
            append(&c->acks, at + 9, (size_t)(after_id - at - 9));
            append(&c->acks, "\r\n", 2);
            c->got++;
            end += bytes;
        } else if (!begins(at, "INSERTED ") && !begins(at, "DELETED") &&
                   !begins(at, "TIMED_OUT") && !begins(at, "USING ")) {
            refused(c, at, end);
        }
        c->awaited--;
        at = end;
    }
    return (size_t)(at - data);
}

/* redis ---------------------------------------------------------------------------------------- */

static void redis_hello(struct connection *c) { hello(c, "*1\r\n$4\r\nPING\r\n"); }

static void redis_put(struct connection *c, int n) {
    for (int i = 0; i < n; i++) {
        appendf(&c->out, "*5\r\n$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n$1\r\nb\r\n$%zu\r\n", body.length);
        append(&c->out, body.data, body.length);
        append(&c->out, "\r\n", 2);
    }
    c->awaited = n;
}

static void redis_fetch(struct connection *c, int n) {
    char consumer[16], count[16];
    int named = snprintf(consumer, sizeof consumer, "c%d", c->number);
    int counted = snprintf(count, sizeof count, "%d", n);
    appendf(&c->out,
            "*9\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$1\r\ng\r\n$%d\r\n%s\r\n$5\r\nCOUNT\r\n"
            "$%d\r\n%s\r\n$7\r\nSTREAMS\r\n$1\r\nq\r\n$1\r\n>\r\n",
            named, consumer, counted, count);
    c->awaited = 1;
    c->arrays = c->bulks = c->entries = 0;
}

static void redis_ack(struct connection *c, int n, bool last) {
    (void)last;
    appendf(&c->out, "*%d\r\n$4\r\nXACK\r\n$1\r\nq\r\n$1\r\ng\r\n", n + 3);
    append(&c->out, c->acks.data, c->acks.length);
    appendf(&c->out, "*%d\r\n$4\r\nXDEL\r\n$1\r\nq\r\n", n + 2);
    append(&c->out, c->acks.data, c->acks.length);
    c->awaited = 2;
}

/* One token of the reply to XREADGROUP: arrays of one stream, of its name and entries, of the
 * entries; then for each entry three strings, of which the first is its id. */
static void redis_entry(struct connection *c, const char *token, size_t length) {
    if (token[0] == '*') {
        int n = atoi(token + 1);
        if (n < 0) c->awaited--;
        if (c->arrays++ == 2) c->entries = n;
        return;
    }
    if (c->bulks % 3 == 1) {
        append(&c->acks, token, length);
        c->got++;
    }
    if (c->bulks && c->bulks == 3 * c->entries) c->awaited--;
    c->bulks++;
}

static size_t redis_hear(struct connection *c, char *data, size_t length) {
    char *at = data, *end;
    while (c->awaited > 0 && (end = line_end(at, (size_t)(data + length - at)))) {
        char *token_end = end;
        if (at[0] == '$') {
            size_t bytes = strtoull(at + 1, NULL, 10) + 2;
            if ((size_t)(data + length - end) < bytes) break;
            token_end = end + bytes;
        } else if (at[0] == '-') {
            refused(c, at, end);
        }
        if (c->phase == FETCH)
            redis_entry(c, at, (size_t)(token_end - at));
        else
            c->awaited--;
        at = token_end;
    }
    return (size_t)(at - data);
}

/* nats ----------------------------------------------------------------------------------------- */

/* Answers come to _I.<connection>.1 (sid 1), messages to _I.<connection>.2 (sid 2). */
static void nats_hello(struct connection *c) {
    appendf(&c->out,
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
            "\"no_responders\":true}\r\nSUB _I.%d.1 1\r\nSUB _I.%d.2 2\r\nPING\r\n",
            c->number, c->number);
    c->awaited = 1;
}

static void nats_put(struct connection *c, int n) {
    for (int i = 0; i < n; i++) {
        appendf(&c->out, "PUB q _I.%d.1 %zu\r\n", c->number, body.length);
        append(&c->out, body.data, body.length);
        append(&c->out, "\r\n", 2);
    }
    c->awaited = n;
}

static void nats_fetch(struct connection *c, int n) {
    char pull[64];
    int length = snprintf(pull, sizeof pull, "{\"batch\":%d,\"expires\":5000000000}", n);
    appendf(&c->out, "PUB $JS.API.CONSUMER.MSG.NEXT.S.C _I.%d.2 %d\r\n%s\r\n", c->number, length,
            pull);
    c->awaited = n;
}

static void nats_ack(struct connection *c, int n, bool last) {
    c->awaited = every_ack_answered ? n : last ? 1 : 0;
    if (every_ack_answered || !last) {
        append(&c->out, c->acks.data, c->acks.length);
        return;
    }
    char *piece = c->acks.data + c->last_ack; /* PUB <subject> 4 … */
    char *space = memchr(piece + 4, ' ', c->acks.length - c->last_ack - 4);
    append(&c->out, c->acks.data, (size_t)(space - c->acks.data));
    appendf(&c->out, " _I.%d.1 4\r\n+ACK\r\n", c->number);
}

/* MSG <subject> <sid> [<reply>] <bytes>, and the piece that acks it. */
static void nats_message(struct connection *c, char *sid, char *end) {
    if (*sid != '2') {
        c->awaited--;
        return;
    }
    char *reply = sid + 2;
    char *space = memchr(reply, ' ', (size_t)(end - reply));
    if (!space) refused(c, sid, end);
    c->last_ack = c->acks.length;
    append(&c->acks, "PUB ", 4);
    append(&c->acks, reply, (size_t)(space - reply));
    if (every_ack_answered) appendf(&c->acks, " _I.%d.1", c->number);
    append(&c->acks, " 4\r\n+ACK\r\n", 10);
    c->got++;
    c->awaited--;
}

static size_t nats_hear(struct connection *c, char *data, size_t length) {
    char *at = data, *end;
    while ((end = line_end(at, (size_t)(data + length - at)))) {
        if (begins(at, "MSG ") || begins(at, "HMSG ")) {
            char *bytes_at = memrchr(at, ' ', (size_t)(end - at));
            size_t bytes = strtoull(bytes_at + 1, NULL, 10) + 2;
            if ((size_t)(data + length - end) < bytes) break;
            char *sid = (char *)memchr(at + 5, ' ', (size_t)(end - at - 5)) + 1;
            if (c->phase != FETCH && memmem(end, bytes, "\"error\"", 7))
                refused(c, end, end + bytes - 1);
            if (at[0] == 'H' && *sid != '2') refused(c, at, end); /* no responders */
            if (at[0] == 'H')
                c->awaited = 0; /* a pull that is over */
            else
                nats_message(c, sid, end);
            end += bytes;
        } else if (begins(at, "PING")) {
            append(&c->out, "PONG\r\n", 6);
        } else if (begins(at, "PONG")) {
            c->awaited--;
        } else if (!begins(at, "INFO ")) {
            refused(c, at, end);
        }
        at = end;
    }
    return (size_t)(at - data);
}

const struct protocol protocols[] = {
    {"qserver", qserver_hello, qserver_put, qserver_fetch, qserver_ack, qserver_hear},
    {"beanstalkd", beanstalkd_hello, beanstalkd_put, beanstalkd_fetch, beanstalkd_ack,
     beanstalkd_hear},
    {"redis", redis_hello, redis_put, redis_fetch, redis_ack, redis_hear},
    {"nats", nats_hello, nats_put, nats_fetch, nats_ack, nats_hear},
    {NULL, NULL, NULL, NULL, NULL, NULL},
};
