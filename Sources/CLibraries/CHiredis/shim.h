#ifndef OPSD_CHIREDIS_SHIM_H
#define OPSD_CHIREDIS_SHIM_H

#include <hiredis/hiredis.h>

// Swift sees an array of 128 characters as a tuple of 128: as a pointer it can be read.
static inline const char *opsd_redis_problem(const redisContext *context) {
    return context->errstr;
}

#endif
