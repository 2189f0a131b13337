#pragma once
// What Glibc's own Swift overlay leaves out: Linux calls behind _GNU_SOURCE, and macros.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Behind _GNU_SOURCE, which the importer's own view of these headers may lack.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern ssize_t splice(int, loff_t *, int, loff_t *, size_t, unsigned int);
extern int pipe2(int[2], int);
