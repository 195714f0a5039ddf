/* Answers what the Python clients ask as qserver would, at once, and stores nothing.

   stub PORT

   A client that waits for a slower server goes to sleep, and waking costs its own process more than its
   code does. Beside this one, as quick as beanstalkd, what is left is the client's. It knows HELLO, PUT,
   GET of queue q, ACK, and answers `OK 1` to all else; it trusts who asks. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS_MAX = 200, INPUT_MAX = 1 << 20, OUTPUT_MAX = 1 << 23 };

struct client {
    char input[INPUT_MAX];
    size_t held;
};

static char output[OUTPUT_MAX];
static char body[93];
static long last;

static char *answer(char *line, char *out)
{
    if (!strncmp(line, "PUT ", 4))
        return out + sprintf(out, "OK %ld\n", ++last);
    if (!strncmp(line, "HELLO", 5))
        return out + sprintf(out, "OK server=stub/1 protocol=1 sync=never count_max=1000 "
                                  "line_bytes_max=1048576 leases=0\n");
    if (!strncmp(line, "GET ", 4)) {
        const char *word = strstr(line, "count=");
        int count = word ? atoi(word + 6) : 1;
        for (int made = 0; made < count; made++, last++)
            out += sprintf(out, "* %ld.%ld q {\"n\":\"%s\"}\n", last, last, body);
        return out + sprintf(out, "OK %d\n", count);
    }
    int receipts = 0;
    for (const char *at = line; *at; at++)
        receipts += *at == '.';
    return out + sprintf(out, "OK %d\n", receipts ? receipts : 1);
}

/* Answers the whole lines that came; 0 when the client has gone. */
static int serve(int fd, struct client *client)
{
    ssize_t got = read(fd, client->input + client->held, INPUT_MAX - client->held - 1);
    if (got <= 0)
        return 0;
    char *line = client->input, *end = line + client->held + got, *out = output, *feed;
    while ((feed = memchr(line, '\n', end - line))) {
        *feed = 0;
        out = answer(line, out);
        line = feed + 1;
    }
    client->held = end - line;
    memmove(client->input, line, client->held);
    for (char *at = output; at < out;) {
        ssize_t wrote = write(fd, at, out - at);
        if (wrote <= 0)
            return 0;
        at += wrote;
    }
    return 1;
}

int main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    static struct pollfd fds[CLIENTS_MAX];
    const int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 100))
        return perror("stub"), 1;
    memset(body, 'x', sizeof body - 1);
    for (int at = 0; at < CLIENTS_MAX; at++)
        fds[at] = (struct pollfd){.fd = -1, .events = POLLIN};
    fds[0].fd = listener;
    int used = 1; /* Looking at places that were never taken would make it slower than its peers. */
    while (poll(fds, used, -1) > 0)
        for (int at = 0; at < used; at++) {
            if (fds[at].fd < 0 || !fds[at].revents)
                continue;
            if (at) {
                if (!serve(fds[at].fd, &clients[at])) {
                    close(fds[at].fd);
                    fds[at].fd = -1;
                }
                continue;
            }
            int fd = accept(listener, NULL, NULL), place = 1;
            while (place < CLIENTS_MAX - 1 && fds[place].fd >= 0)
                place++;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            fds[place] = (struct pollfd){.fd = fd, .events = POLLIN};
            clients[place].held = 0;
            if (place >= used)
                used = place + 1;
        }
}
