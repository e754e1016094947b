#ifndef OPSD_CCURL_SHIM_H
#define OPSD_CCURL_SHIM_H

// The type checks that gcc offers replace the functions by macros, which Swift cannot see.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <errno.h>
#include <sys/socket.h>

// Swift does not call variadic functions: one shim for each type of argument.

static inline CURLcode opsd_easy_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode opsd_easy_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode opsd_easy_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode opsd_easy_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode opsd_easy_set_list(
    CURL *easy, CURLoption option, struct curl_slist *value) {
    return curl_easy_setopt(easy, option, value);
}

// Serves CURLOPT_WRITEFUNCTION and CURLOPT_HEADERFUNCTION: they share a signature.
static inline CURLcode opsd_easy_set_write_function(
    CURL *easy, CURLoption option, curl_write_callback function) {
    return curl_easy_setopt(easy, option, function);
}

static inline CURLcode opsd_easy_set_prerequest_function(
    CURL *easy, curl_prereq_callback function) {
    return curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, function);
}

static inline CURLcode opsd_easy_set_open_socket_function(
    CURL *easy, curl_opensocket_callback function) {
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
}

// A descriptor that no child inherits, or the error's number below zero.
static inline int opsd_open_socket(const struct curl_sockaddr *address) {
    int descriptor = socket(
        address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    return descriptor < 0 ? -errno : descriptor;
}

static inline CURLcode opsd_easy_get_long(CURL *easy, CURLINFO info, long *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode opsd_easy_get_offset(CURL *easy, CURLINFO info, curl_off_t *value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLcode opsd_easy_get_pointer(CURL *easy, CURLINFO info, void **value) {
    return curl_easy_getinfo(easy, info, value);
}

static inline CURLMcode opsd_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

// A union's member, read here so that Swift does not depend on how the union is imported.
static inline CURLcode opsd_message_result(const CURLMsg *message) {
    return message->data.result;
}

#endif
