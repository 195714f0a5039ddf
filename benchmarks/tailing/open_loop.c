/* An open loop: each PUT has a time at which it is to be sent, whatever became of the last one.
 *
 * open_loop PORT PID CONNECTIONS RATE SECONDS BODY_BYTES
 *
 * The PUTs go out at even distances, one connection after the other. Latency counts from the time
 * at which a PUT was to be sent, so what a server held up while it stalled is seen, each request by
 * itself. On a machine that others use too, much of it is no fault of the server's: so it is told
 * beside it what is left without the time by which this program was late to send, and without the
 * time that the server's main thread was ready to run meanwhile and had no core.
 *
 * Prints a JSON object: how many, quantiles (p50, p99, p99.9, the longest) of latency, of what is
 * left of it, and of lateness, in microseconds; in how many milliseconds of the run a PUT was due
 * of which more than 10 ms were left; the CPU of the server PID. Any answer that is not OK ends it.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, EVENTS = 64, SILENCE_S = 20 };

struct connection {
    int fd;
    char *out; /* what the socket did not take yet */
    size_t length, room;
    char last;              /* byte read, which tells where a line begins */
    long long next_answer;  /* number of the PUT that is answered next */
};

static struct connection *all;
static int connections, epoll_fd;
static long long count, answered, began_ns;
static double every_ns;
static char *request;
static size_t request_bytes;
static long long *took_ns, *late_ns, *left_ns;
static long long *waited_ns; /* of the server's main thread, when the PUT was sent */
static int schedstat = -1;

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
    exit(1);
}

static long long clock_ns(clockid_t which) {
    struct timespec at;
    clock_gettime(which, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static long long due_ns(long long number) {
    return began_ns + (long long)((double)number * every_ns);
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

/* How long the server's main thread has been ready to run and had no core, so far. */
static long long server_waited_ns(void) {
    char text[100];
    ssize_t n = schedstat < 0 ? 0 : pread(schedstat, text, sizeof text - 1, 0);
    if (n <= 0) return 0;
    text[n] = 0;
    char *second = strchr(text, ' ');
    return second ? atoll(second) : 0;
}

static void flush(struct connection *c) {
    size_t sent = 0;
    while (sent < c->length) {
        ssize_t n = send(c->fd, c->out + sent, c->length - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
        if (n < 0) break;
        sent += (size_t)n;
    }
    memmove(c->out, c->out + sent, c->length - sent);
    c->length -= sent;
    struct epoll_event event = {.events = EPOLLIN | (c->length ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

/* The usual case needs no buffer: one send takes it all. */
static void put(struct connection *c) {
    ssize_t n = 0;
    if (!c->length) n = send(c->fd, request, request_bytes, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) die("send: %s", strerror(errno));
    if (n == (ssize_t)request_bytes) return;
    size_t sent = n < 0 ? 0 : (size_t)n, rest = request_bytes - sent;
    if (c->length + rest > c->room) {
        c->room = 2 * (c->length + rest);
        c->out = realloc(c->out, c->room);
        if (!c->out) die("no memory");
    }
    memcpy(c->out + c->length, request + sent, rest);
    c->length += rest;
    flush(c);
}

static void note(long long number, long long now, long long waited) {
    took_ns[number] = now - due_ns(number);
    left_ns[number] = took_ns[number] - late_ns[number] - (waited - waited_ns[number]);
    if (left_ns[number] < 0) left_ns[number] = 0;
}

static void hear(struct connection *c) {
    char data[READ_BYTES];
    ssize_t n = recv(c->fd, data, sizeof data, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed the connection");
    long long now = clock_ns(CLOCK_MONOTONIC), waited = server_waited_ns();
    for (char *at = data, *lf; at < data + n; at = lf + 1) {
        if (c->last == '\n' && *at != 'O') die("the answer was: %.*s", (int)(data + n - at), at);
        lf = memchr(at, '\n', (size_t)(data + n - at));
        c->last = data[n - 1];
        if (!lf) break;
        c->last = '\n';
        note(c->next_answer, now, waited);
        c->next_answer += connections;
        answered++;
    }
    c->last = data[n - 1];
}

/* Sleeps until a socket has something or the next PUT is due. */
static void wait_until(long long at) {
    struct epoll_event events[EVENTS];
    long long left = at - clock_ns(CLOCK_MONOTONIC);
    if (left < 0) left = 0;
    struct timespec timeout = {left / 1000000000LL, left % 1000000000LL};
    int n = epoll_pwait2(epoll_fd, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR) die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (events[i].events & ~(unsigned)EPOLLOUT) hear(c);
        if (c->length) flush(c);
    }
}

static void run(void) {
    long long sent = 0, give_up_at = 0;
    began_ns = clock_ns(CLOCK_MONOTONIC) + 1000000;
    while (answered < count) {
        long long now = clock_ns(CLOCK_MONOTONIC), waited = server_waited_ns();
        /* So many at most before replies are read again: their times must not wait for a crowd. */
        for (int n = 0; n < EVENTS && sent < count && due_ns(sent) <= now; n++, sent++) {
            late_ns[sent] = clock_ns(CLOCK_MONOTONIC) - due_ns(sent);
            waited_ns[sent] = waited;
            put(&all[sent % connections]);
            give_up_at = now + SILENCE_S * 1000000000LL;
        }
        if (sent == count && now > give_up_at) die("no answer for %d s", SILENCE_S);
        wait_until(sent < count ? due_ns(sent) : now + 100000000LL);
    }
}

static void open_connection(struct connection *c, int number, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect: %s", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl: %s", strerror(errno));
    c->last = '\n';
    c->next_answer = number;
}

static void build_request(size_t body_bytes) {
    static const char before[] = "PUT load {\"n\":\"", behind[] = "\"}\n";
    size_t filled = body_bytes > 8 ? body_bytes - 8 : 0;
    request_bytes = sizeof before - 1 + filled + sizeof behind - 1;
    request = malloc(request_bytes + 1);
    if (!request) die("no memory");
    memcpy(request, before, sizeof before - 1);
    memset(request + sizeof before - 1, 'x', filled);
    memcpy(request + sizeof before - 1 + filled, behind, sizeof behind);
}

static int compare(const void *a, const void *b) {
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

/* Milliseconds of the run in which a PUT was due of which more than 10 were left. */
static long long held_up_ms(void) {
    long long found = 0, last = -1;
    for (long long number = 0; number < count; number++) {
        long long ms = (due_ns(number) - began_ns) / 1000000;
        if (left_ns[number] > 10000000 && ms != last) last = ms, found++;
    }
    return found;
}

static void print_quantiles(const char *name, long long *values) {
    static const double parts[] = {0.5, 0.99, 0.999, 1.0};
    qsort(values, (size_t)count, sizeof *values, compare);
    printf(", \"%s_us\": [", name);
    for (int i = 0; i < 4; i++)
        printf("%s%.1f", i ? ", " : "",
               (double)values[(long long)(parts[i] * (double)(count - 1))] / 1e3);
    printf("]");
}

/* One for each PUT, and touched, so that no page is missing later. */
static long long *numbers(void) {
    long long *found = malloc((size_t)count * sizeof *found);
    if (!found) die("no memory");
    memset(found, 1, (size_t)count * sizeof *found);
    return found;
}

int main(int words_count, char **words) {
    if (words_count != 7)
        die("usage: %s PORT PID CONNECTIONS RATE SECONDS BODY_BYTES", words[0]);
    int port = atoi(words[1]), pid = atoi(words[2]);
    connections = atoi(words[3]);
    double rate = atof(words[4]);
    count = (long long)(rate * atof(words[5]));
    if (count < 1) die("no PUT in %s s at %s a second", words[5], words[4]);
    every_ns = 1e9 / rate;
    build_request((size_t)atoi(words[6]));
    prctl(PR_SET_TIMERSLACK, 1L);
    all = calloc((size_t)connections, sizeof *all);
    took_ns = numbers();
    left_ns = numbers();
    late_ns = numbers();
    waited_ns = numbers();
    epoll_fd = epoll_create1(0);
    if (!all) die("no memory");
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    if (pid) schedstat = open(path, O_RDONLY);
    for (int i = 0; i < connections; i++) open_connection(&all[i], i, port);

    long long cpu = server_ns(pid);
    run();
    cpu = server_ns(pid) - cpu;
    long long held_up = held_up_ms();
    printf("{\"puts\": %lld", count);
    print_quantiles("took", took_ns);
    print_quantiles("left", left_ns);
    print_quantiles("late", late_ns);
    printf(", \"held_up_ms\": %lld, \"server_cpu_us\": %.1f}\n", held_up, (double)cpu / 1e3);
    return 0;
}
