/* Records, in order and with its data, whatever a program does to the files under one directory.
 *
 * Preloaded (LD_PRELOAD) into the program; RECORDED_ROOT names the directory, without links in it, and RECORDED_LOG
 * the file to write to. Each event is a struct event, the path or paths, the data. An event is written after the call
 * it is about succeeded, and no other call of the process is let in between. Calls that are not here (mmap, links,
 * sendfile ...) leave no trace, so whoever reads the log compares its outcome with the real directory.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR };
enum { MAX_FDS = 4096 };

struct event {
    uint32_t kind, process;
    int32_t fd;
    uint32_t path_bytes, second_bytes, data_bytes;
    int64_t offset; /* of a write; the length of a truncation */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The process that has a file open under the root: a child between vfork() and exec() shares this memory. */
static pid_t recorded_for[MAX_FDS];

#define NEXT(name)                                                                                                     \
    static __typeof__(&name) next;                                                                                     \
    if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void fail(const char *what) {
    fprintf(stderr, "recorder: %s: %s\n", what, strerror(errno));
    abort();
}

static void record(uint32_t kind, int fd, const char *path, const char *second, const void *data, size_t size,
                   int64_t offset) {
    static __typeof__(&writev) next_writev;
    static int log = -1;
    static pid_t process;
    if (process != getpid()) {
        int (*open_log)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
        log = open_log(getenv("RECORDED_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        next_writev = (__typeof__(&writev))dlsym(RTLD_NEXT, "writev");
        process = getpid();
    }
    struct event event = {
        .kind = kind,
        .process = (uint32_t)process,
        .fd = fd,
        .path_bytes = path == NULL ? 0 : (uint32_t)strlen(path),
        .second_bytes = second == NULL ? 0 : (uint32_t)strlen(second),
        .data_bytes = (uint32_t)size,
        .offset = offset,
    };
    struct iovec parts[] = {
        {&event, sizeof event}, {(void *)path, event.path_bytes}, {(void *)second, event.second_bytes}, {(void *)data, size}};
    ssize_t expected = (ssize_t)(sizeof event + event.path_bytes + event.second_bytes + size);
    if (next_writev(log, parts, 4) != expected) fail("the log");
}

/* Whether a path lies under the root, or is it. */
static int is_inside(const char *path) {
    const char *root = getenv("RECORDED_ROOT");
    size_t size = root == NULL ? 0 : strlen(root);
    return size > 0 && strncmp(path, root, size) == 0 && (path[size] == '/' || path[size] == 0);
}

static int is_recorded(int fd) { return fd >= 0 && fd < MAX_FDS && recorded_for[fd] == getpid(); }

static void absolute(int directory, const char *path, char *to) {
    char base[PATH_MAX] = "";
    if (path[0] != '/') {
        char link[64] = "/proc/self/cwd";
        if (directory != AT_FDCWD) snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t size = readlink(link, base, sizeof base - 2);
        if (size < 0) fail(link);
        base[size] = '/';
        base[size + 1] = 0;
    }
    if (snprintf(to, PATH_MAX, "%s%s", base, path) >= PATH_MAX) fail("a path");
}

static void opened(int fd, int directory, const char *path, int existed, int flags) {
    if (fd < 0 || fd >= MAX_FDS) return;
    char whole[PATH_MAX];
    absolute(directory, path, whole);
    if (is_recorded(fd)) recorded_for[fd] = 0;
    if (!is_inside(whole)) return;
    recorded_for[fd] = getpid();
    record(OPEN, fd, whole, NULL, NULL, 0, 0);
    if (existed && (flags & O_TRUNC) != 0) record(TRUNCATE, fd, NULL, NULL, NULL, 0, 0);
}

#define OPEN_LIKE(name, parameters, directory, call)                                                                   \
    int name parameters {                                                                                              \
        NEXT(name);                                                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, int) : 0;                                     \
        va_end(rest);                                                                                                  \
        pthread_mutex_lock(&lock);                                                                                     \
        int existed = faccessat(directory, path, F_OK, 0) == 0;                                                        \
        int fd = call;                                                                                                 \
        int error = errno;                                                                                             \
        opened(fd, directory, path, existed, flags);                                                                   \
        pthread_mutex_unlock(&lock);                                                                                   \
        errno = error;                                                                                                 \
        return fd;                                                                                                     \
    }

OPEN_LIKE(open, (const char *path, int flags, ...), AT_FDCWD, next(path, flags, mode))
OPEN_LIKE(open64, (const char *path, int flags, ...), AT_FDCWD, next(path, flags, mode))
OPEN_LIKE(openat, (int directory, const char *path, int flags, ...), directory, next(directory, path, flags, mode))
OPEN_LIKE(openat64, (int directory, const char *path, int flags, ...), directory, next(directory, path, flags, mode))

int close(int fd) {
    NEXT(close);
    pthread_mutex_lock(&lock);
    if (is_recorded(fd)) recorded_for[fd] = 0;
    int result = next(fd);
    pthread_mutex_unlock(&lock);
    return result;
}

/* Runs a call that changes an open file or makes it durable, and records it if it succeeded. */
#define ON_FILE(call, event)                                                                                           \
    if (!is_recorded(fd)) return call;                                                                                 \
    pthread_mutex_lock(&lock);                                                                                         \
    __typeof__(call) result = call;                                                                                    \
    int error = errno;                                                                                                 \
    if (result >= 0) event;                                                                                            \
    pthread_mutex_unlock(&lock);                                                                                       \
    errno = error;                                                                                                     \
    return result

ssize_t write(int fd, const void *data, size_t size) {
    NEXT(write);
    ON_FILE(next(fd, data, size),
            record(WRITE, fd, NULL, NULL, data, (size_t)result, lseek(fd, 0, SEEK_CUR) - result));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    NEXT(pwrite);
    ON_FILE(next(fd, data, size, offset), record(WRITE, fd, NULL, NULL, data, (size_t)result, offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    NEXT(pwrite64);
    ON_FILE(next(fd, data, size, offset), record(WRITE, fd, NULL, NULL, data, (size_t)result, offset));
}

int ftruncate(int fd, off_t size) {
    NEXT(ftruncate);
    ON_FILE(next(fd, size), record(TRUNCATE, fd, NULL, NULL, NULL, 0, size));
}

int ftruncate64(int fd, off64_t size) {
    NEXT(ftruncate64);
    ON_FILE(next(fd, size), record(TRUNCATE, fd, NULL, NULL, NULL, 0, size));
}

int fsync(int fd) {
    NEXT(fsync);
    ON_FILE(next(fd), record(SYNC, fd, NULL, NULL, NULL, 0, 0));
}

int fdatasync(int fd) {
    NEXT(fdatasync);
    ON_FILE(next(fd), record(SYNC, fd, NULL, NULL, NULL, 0, 0));
}

/* Runs a call that changes a directory, and records it if it succeeded. */
#define ON_PATH(kind, directory, path, call)                                                                           \
    char whole[PATH_MAX];                                                                                              \
    absolute(directory, path, whole);                                                                                  \
    if (!is_inside(whole)) return call;                                                                                \
    pthread_mutex_lock(&lock);                                                                                         \
    int result = call;                                                                                                 \
    int error = errno;                                                                                                 \
    if (result == 0) record(kind, -1, whole, NULL, NULL, 0, 0);                                                        \
    pthread_mutex_unlock(&lock);                                                                                       \
    errno = error;                                                                                                     \
    return result

int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    ON_PATH(MKDIR, AT_FDCWD, path, next(path, mode));
}

int unlink(const char *path) {
    NEXT(unlink);
    ON_PATH(UNLINK, AT_FDCWD, path, next(path));
}

int rmdir(const char *path) {
    NEXT(rmdir);
    ON_PATH(UNLINK, AT_FDCWD, path, next(path));
}

int unlinkat(int directory, const char *path, int flags) {
    NEXT(unlinkat);
    ON_PATH(UNLINK, directory, path, next(directory, path, flags));
}

int rename(const char *from, const char *to) {
    NEXT(rename);
    char whole[PATH_MAX], second[PATH_MAX];
    absolute(AT_FDCWD, from, whole);
    absolute(AT_FDCWD, to, second);
    if (!is_inside(whole)) return next(from, to);
    pthread_mutex_lock(&lock);
    int result = next(from, to);
    int error = errno;
    if (result == 0) record(RENAME, -1, whole, second, NULL, 0, 0);
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}
