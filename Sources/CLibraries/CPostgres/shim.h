#ifndef OPSD_CPOSTGRES_SHIM_H
#define OPSD_CPOSTGRES_SHIM_H

#include <libpq-fe.h>

// Notices go to the standard error of the process unless somebody takes them.
static inline void opsd_ignore_notice(void *context, const char *message) {
    (void)context;
    (void)message;
}

static inline void opsd_ignore_notices(PGconn *connection) {
    PQsetNoticeProcessor(connection, opsd_ignore_notice, NULL);
}

#endif
