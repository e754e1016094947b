#ifndef OPSD_CCURL_SHIM_H
#define OPSD_CCURL_SHIM_H

#include <curl/curl.h>

#endif
