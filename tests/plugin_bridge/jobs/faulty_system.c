/* Stands between a program and the C library (LD_PRELOAD): slow or broken reads, a clock that jumps.
 *
 * SLOW_FOLDER: reads of files below it wait SLOW_MICROSECONDS and give 4096 bytes at most, as a network may;
 *              of files with "broken" in their names they fail after the first 64 KiB (EIO).
 * CLOCK_JUMPS: the time of day is a day ahead, then a year behind, then right, from call to call; the
 *              monotonic clock is left alone, as a system leaves it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *folder(void) { return getenv("SLOW_FOLDER"); }

/* How much may be read now; -1 if reading fails. */
static ssize_t allowed(int file, size_t count) {
    char link[64], path[4096];
    if (!folder()) return count;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return count;
    path[length] = 0;
    if (strncmp(path, folder(), strlen(folder()))) return count;
    usleep(atoi(getenv("SLOW_MICROSECONDS")));
    if (strstr(path, "broken") && lseek(file, 0, SEEK_CUR) > 65536) {
        errno = EIO;
        return -1;
    }
    return count < 4096 ? count : 4096;
}

ssize_t read(int file, void *buffer, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "read");
    ssize_t now = allowed(file, count);
    return now < 0 ? -1 : real(file, buffer, now);
}

static time_t jump(void) {
    static unsigned calls;
    static const time_t jumps[] = {86400, -31536000, 0};
    return getenv("CLOCK_JUMPS") ? jumps[__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 3] : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += jump();
    return status;
}
