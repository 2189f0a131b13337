#pragma once
// What the toolchain's Glibc module leaves out: Linux headers it does not import, and macros.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// Constants whose type the importer makes awkward.
static const int linux_stream_socket = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
static const int linux_accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
static const int linux_eventfd_flags = EFD_NONBLOCK | EFD_CLOEXEC;
static const int linux_splice_move = 1;      // SPLICE_F_MOVE
static const int linux_splice_nonblock = 2;  // SPLICE_F_NONBLOCK
static const int linux_set_pipe_size = 1031; // F_SETPIPE_SZ

static inline int linux_cpu_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = 0;
    for (size_t word = 0; word < sizeof set.__bits / sizeof set.__bits[0]; word++)
        count += __builtin_popcountl(set.__bits[word]);
    return count;
}

// Who is at the other end of a Unix socket, as the kernel noted when it was connected; -1 if that cannot be told.
static inline long linux_peer_user(int descriptor) {
    struct { int process; unsigned user, group; } peer;
    socklen_t size = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    return peer.user;
}

// Makes a listening socket ignore the first packet of a handshake (SYN without ACK) and nothing else: the program runs over
// the TCP header, whose byte 13 holds the flags. Connections accepted from then on inherit it, and never see such a packet.
static inline int linux_ignore_new_connections(int listener) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12 /* SYN, ACK */),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02 /* SYN */, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog filter = {.len = sizeof program / sizeof program[0], .filter = program};
    return setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

// Opens `path` below the folder `root` for reading: fails with EXDEV where it would lead out, by `..`, by an absolute
// path or by a link. Not in glibc yet; ENOSYS or, in some containers, EPERM where the kernel has it not.
static inline int linux_open_beneath(int root, const char *path) {
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static inline int linux_open_below(int root, const char *path) {
    return openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static inline int linux_open_folder(const char *path) {
    return open(path, 010000000 /* O_PATH */ | O_DIRECTORY | O_CLOEXEC);
}

static inline int linux_descriptor_limit(struct rlimit *limit) { return getrlimit(RLIMIT_NOFILE, limit); }
static inline int linux_set_descriptor_limit(const struct rlimit *limit) { return setrlimit(RLIMIT_NOFILE, limit); }

// Declared by the headers only under _GNU_SOURCE, which would make them differ from what the Glibc module saw.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pipe2(int[2], int);
extern ssize_t splice(int, long *, int, long *, size_t, unsigned int);
extern int pthread_setname_np(unsigned long, const char *);
extern ssize_t preadv2(int, const struct iovec *, int, off_t, int);

// Reads only what lies in the page cache: EAGAIN where the disk would have to be asked.
static inline ssize_t linux_read_cached(int file, void *buffer, size_t size, off_t offset) {
    struct iovec vector = {.iov_base = buffer, .iov_len = size};
    return preadv2(file, &vector, 1, offset, 8 /* RWF_NOWAIT */);
}
