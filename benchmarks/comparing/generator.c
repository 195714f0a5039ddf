/* A load generator: so many connections, so many requests ahead on each, one thread and epoll.
 *
 * generator PROTOCOL OP PORT PID CONNECTIONS AHEAD MESSAGES BODY_BYTES ANSWERED
 *
 * OP is put, drain (fetch and ack what is stored) or cycle (put, fetch and ack). Each connection
 * works in batches of AHEAD messages: their puts go out in one write, and when all are answered the
 * next; a drain fetches a batch and acks it, a cycle does all three. Requests are built before, or
 * from pieces cut out of replies. ANSWERED 1 has NATS answer every ack, 0 only the last of the run.
 *
 * Prints a JSON object: seconds, quantiles of a batch's time, the CPU that the server PID (all its
 * threads, as the kernel counts them) and this program took. Any unexpected answer ends it.
 */

#define _GNU_SOURCE
#include "generator.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 18, EVENTS = 64, SILENCE_MS = 20000 };

struct buffer body;
bool every_ack_answered;

static const struct protocol *protocol;
static const char *op;
static int ahead, epoll_fd, busy;
static long long remaining; /* messages that no batch has been given yet */
static long long *took_ns;
static long long batches;

void die(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    exit(1);
}

const char *phase_name(int phase) {
    static const char *names[] = {"put", "fetch", "ack", "hello"};
    return names[phase];
}

static void make_room(struct buffer *in, size_t length) {
    if (in->length + length <= in->room) return;
    in->room = 2 * (in->length + length);
    in->data = realloc(in->data, in->room);
    if (!in->data) die("no memory");
}

void append(struct buffer *to, const void *data, size_t length) {
    make_room(to, length);
    memcpy(to->data + to->length, data, length);
    to->length += length;
}

void appendf(struct buffer *to, const char *format, ...) {
    char text[512];
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    append(to, text, (size_t)length);
}

static long long clock_ns(clockid_t which) {
    struct timespec at;
    clock_gettime(which, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

/* CPU that all threads of a process have taken, as its schedstat files say; 0 for process 0. */
static long long server_ns(int pid) {
    char path[400];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = pid ? opendir(path) : NULL;
    if (!tasks && pid) die("there is no process %d", pid);
    long long total = 0;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        long long ns = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (file && fscanf(file, "%lld", &ns) == 1) total += ns;
        if (file) fclose(file);
    }
    if (tasks) closedir(tasks);
    return total;
}

/* Batches -------------------------------------------------------------------------------------- */

static void start_phase(struct connection *c, int phase) {
    c->phase = phase;
    if (phase == PUT && c->batch == ahead && c->puts.length) {
        append(&c->out, c->puts.data, c->puts.length);
        c->awaited = ahead;
    } else if (phase == PUT) {
        protocol->put(c, c->batch);
    } else if (phase == FETCH) {
        c->got = 0;
        c->acks.length = 0;
        protocol->fetch(c, c->owed);
    } else {
        protocol->ack(c, c->got, remaining == 0);
    }
}

static void start_batch(struct connection *c) {
    c->batch = remaining < ahead ? (int)remaining : ahead;
    c->busy = c->batch > 0;
    if (!c->busy) {
        busy--;
        return;
    }
    remaining -= c->batch;
    c->owed = c->batch;
    c->began_ns = clock_ns(CLOCK_MONOTONIC);
    start_phase(c, op[0] == 'd' ? FETCH : PUT);
}

static void end_batch(struct connection *c) {
    took_ns[batches++] = clock_ns(CLOCK_MONOTONIC) - c->began_ns;
    start_batch(c);
}

/* All that follows from a phase's last reply, up to a request that has to be waited for. */
static void go_on(struct connection *c) {
    while (c->busy && c->awaited == 0) {
        if (c->phase == HELLO) {
            c->busy = false;
            busy--;
        } else if (c->phase == PUT && op[0] == 'p') {
            end_batch(c);
        } else if (c->phase == PUT) {
            start_phase(c, FETCH);
        } else if (c->phase == FETCH) {
            start_phase(c, c->got ? ACK : FETCH);
        } else if ((c->owed -= c->got) > 0) {
            start_phase(c, FETCH);
        } else {
            end_batch(c);
        }
    }
}

/* Sockets -------------------------------------------------------------------------------------- */

static void watch(struct connection *c, int how, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    c->writing = writing;
    if (epoll_ctl(epoll_fd, how, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void flush(struct connection *c) {
    while (c->sent < c->out.length) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.length - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
        if (n < 0) break;
        c->sent += (size_t)n;
    }
    bool all = c->sent == c->out.length;
    if (all) c->sent = c->out.length = 0;
    if (c->writing == all) watch(c, EPOLL_CTL_MOD, !all);
}

static void hear(struct connection *c) {
    make_room(&c->in, READ_BYTES + 1);
    ssize_t n = recv(c->fd, c->in.data + c->in.length, READ_BYTES, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed the connection in phase %s", phase_name(c->phase));
    c->in.length += (size_t)n;
    c->in.data[c->in.length] = 0; /* so that numbers at the end have one */
    size_t taken = protocol->hear(c, c->in.data, c->in.length);
    c->in.length -= taken;
    memmove(c->in.data, c->in.data + taken, c->in.length);
    go_on(c);
}

static void run_until_idle(void) {
    struct epoll_event events[EVENTS];
    while (busy > 0) {
        int n = epoll_wait(epoll_fd, events, EVENTS, SILENCE_MS);
        if (n == 0) die("no answer for %d ms", SILENCE_MS);
        if (n < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & ~(unsigned)EPOLLOUT) hear(c);
            if (c->out.length) flush(c);
        }
    }
}

static void open_connection(struct connection *c, int number, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    c->number = number;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, false);
    protocol->put(c, ahead);
    c->puts = c->out;
    c->out = (struct buffer){0};
    c->phase = HELLO;
    c->busy = true;
    busy++;
    protocol->hello(c);
    flush(c);
}

static int compare(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

static double quantile_us(double part) {
    return (double)took_ns[(long long)(part * (double)(batches - 1))] / 1e3;
}

static void make_body(size_t bytes) {
    append(&body, "{\"n\":\"", 6);
    while (body.length + 2 < bytes) append(&body, "x", 1);
    append(&body, "\"}", 2);
}

static void choose(char **words) {
    for (protocol = protocols; protocol->name && strcmp(protocol->name, words[1]); protocol++) {}
    if (!protocol->name) die("no protocol %s", words[1]);
    op = words[2];
    ahead = atoi(words[6]);
    remaining = atoll(words[7]);
    make_body((size_t)atoi(words[8]));
    every_ack_answered = words[9][0] == '1';
    took_ns = calloc((size_t)remaining + 1, sizeof *took_ns);
    epoll_fd = epoll_create1(0);
}

int main(int count, char **words) {
    if (count != 10)
        die("usage: %s PROTOCOL OP PORT PID CONNECTIONS AHEAD MESSAGES BODY_BYTES ANSWERED",
            words[0]);
    choose(words);
    int port = atoi(words[3]), pid = atoi(words[4]), connections = atoi(words[5]);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++) open_connection(&all[i], i, port);
    run_until_idle();

    long long server = server_ns(pid), own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    long long began = clock_ns(CLOCK_MONOTONIC);
    busy = connections;
    for (int i = 0; i < connections; i++) {
        start_batch(&all[i]);
        flush(&all[i]);
    }
    run_until_idle();
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - began) / 1e9;
    own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
    server = server_ns(pid) - server;

    qsort(took_ns, (size_t)batches, sizeof *took_ns, compare);
    printf("{\"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
           "\"server_cpu_us\": %.1f, \"generator_cpu_us\": %.1f}\n",
           seconds, quantile_us(0.5), quantile_us(0.99), quantile_us(0.999),
           (double)server / 1e3, (double)own / 1e3);
    return 0;
}
