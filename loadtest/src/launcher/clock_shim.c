/* Moves the wall clock of one process, for tests: preloaded, it adds what the file SEATWIRE_CLOCK_FILE says, seconds as
 * a binary 64-bit integer, to every reading of the wall clock. The file is mapped, so that a step is seen at once.
 * Monotonic clocks and the kernel's own waits are left alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset_s;

/* Before it has run, and without a file, the clock is the true one. */
__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("SEATWIRE_CLOCK_FILE");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) offset_s = mapped;
}

static time_t moved(time_t seconds) {
    return seconds + (offset_s ? (time_t)*offset_s : 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec = moved(now->tv_sec);
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &precise) != 0) return -1;
    now->tv_sec = moved(precise.tv_sec);
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec now;
    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    now.tv_sec = moved(now.tv_sec);
    if (seconds) *seconds = now.tv_sec;
    return now.tv_sec;
}
