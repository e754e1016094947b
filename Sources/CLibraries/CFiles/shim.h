// What Swift cannot reach of Linux's file calls: functions that glibc shows under _GNU_SOURCE only.
// Nothing here decides anything.
#ifndef OPSD_CFILES_SHIM_H
#define OPSD_CFILES_SHIM_H

#include <errno.h>
#include <sys/types.h>

// The header hides it without _GNU_SOURCE, and it cannot be defined here: it changes types that
// Swift's own view of the same headers has already fixed.
extern int fallocate(int descriptor, int mode, off_t offset, off_t length);

// Of <linux/falloc.h>: allocate, and leave the file's length as it is.
#define OPSD_FALLOCATE_KEEP_SIZE 0x01

// Has the first `length` bytes of a file allocated, whether they are part of its length or not.
// Returns 0, or the error's number.
static inline int opsd_allocate(int descriptor, off_t length) {
    return fallocate(descriptor, OPSD_FALLOCATE_KEEP_SIZE, 0, length) == 0 ? 0 : errno;
}

#endif
