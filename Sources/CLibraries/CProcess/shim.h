// What Swift cannot reach of Linux's process calls: variadic syscalls, and the functions that glibc
// shows under _GNU_SOURCE only. Nothing here decides anything.
#ifndef OPSD_CPROCESS_SHIM_H
#define OPSD_CPROCESS_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

// The headers hide these two without _GNU_SOURCE, and it cannot be defined here: it changes types
// that Swift's own view of the same headers has already fixed.
extern int posix_spawn_file_actions_addchdir_np(
    posix_spawn_file_actions_t *actions, const char *path);
extern int posix_spawn_file_actions_addclosefrom_np(
    posix_spawn_file_actions_t *actions, int first);

// Of <spawn.h>, since glibc 2.26.
#define OPSD_SPAWN_SETSID 0x80

// A descriptor that becomes readable when the process ends; -1 and errno. Close-on-exec by itself.
static inline int opsd_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

// A signal to the very process that the descriptor means, even when its id has been given away.
static inline int opsd_pidfd_send_signal(int descriptor, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, (void *)0, 0);
}

// Sets how many descriptors a process may have open, and up to what it may raise that itself; process
// 0 is this one. Returns 0, or -1 and errno.
static inline int opsd_set_open_files(pid_t pid, uint64_t soft, uint64_t hard) {
    // As the kernel lays it out: two times 64 bits.
    struct { uint64_t current, maximum; } limit = {soft, hard};
    return (int)syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, &limit, (void *)0);
}

// How many descriptors this process may have open. Returns 0, or -1 and errno.
static inline int opsd_open_files(uint64_t *soft, uint64_t *hard) {
    struct { uint64_t current, maximum; } limit = {0, 0};
    if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (void *)0, &limit) != 0) return -1;
    *soft = limit.current;
    *hard = limit.maximum;
    return 0;
}

// No core dump of this process, nor of those that it starts: memory holds secrets.
static inline int opsd_forbid_core_dumps(void) {
    struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none);
}

// Takes the first bytes out of a file; what lies behind moves to the front. The length must be whole
// blocks and less than the file. Returns 0, or -1 and errno: not every file system can.
static inline int opsd_collapse(int descriptor, long long length) {
    return (int)syscall(SYS_fallocate, descriptor, FALLOC_FL_COLLAPSE_RANGE, 0LL, length);
}

// A counter that wakes a thread in poll(2).
static inline int opsd_eventfd(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

// How a child ended, without reaping it: while the zombie stands, its process id and its group's id
// cannot be given to another process. Returns 1 when it has ended, 0 when not, -1 and errno.
static inline int opsd_peek_exit(pid_t pid, int *code, int *status) {
    siginfo_t info;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return -1;
    if (info.si_pid == 0) return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

// Reaps a child that has ended.
static inline int opsd_reap(pid_t pid) {
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
}

// Starts a program in a session of its own: standard input /dev/null, output and errors to
// `output`, every other descriptor closed, signals as they are by default. A name without a slash
// is looked up in PATH. Returns 0, or the error's number (also when the exec itself failed).
static inline int opsd_spawn(
    pid_t *pid, const char *file, char *const arguments[], char *const environment[],
    const char *directory, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigemptyset(&none);
    sigfillset(&all);
    error = posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setflags(
            &attributes, OPSD_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
    if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, output, 2);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (error == 0 && directory != 0)
        error = posix_spawn_file_actions_addchdir_np(&actions, directory);
    if (error == 0)
        error = posix_spawnp(pid, file, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

#endif
