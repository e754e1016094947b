internal import CProcess
internal import Foundation
internal import Glibc

/// Why a process could not be made or watched. The same attempt may succeed later: a file system
/// that is not mounted yet, a program that is being installed, a machine out of processes.
struct ProcessError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ what: String, code: Int32) {
        description = "\(what): \(String(cString: strerror(code)))"
    }

    init(_ description: String) {
        self.description = description
    }
}

/// Makes a service's process: its own session, no descriptor but the first three, no shell.
enum Spawn {
    static func start(
        _ service: ServiceSpecification, tags: [String: String]
    ) throws(ProcessError) -> pid_t {
        let environment = ProcessInfo.processInfo.environment
            .filter { !ProcessTag.ofTheSupervisorAlone.contains($0.key) }
            .merging(service.environment, uniquingKeysWith: { $1 })
            .merging(tags, uniquingKeysWith: { $1 })
            .map { "\($0.key)=\($0.value)" }.sorted()
        let arguments = [service.executable] + service.arguments
        guard !(arguments + environment).contains(where: { $0.utf8.contains(0) }) else {
            throw ProcessError("an argument or variable of '\(service.name)' contains NUL")
        }
        if let directory = service.workingDirectory, access(directory, X_OK) != 0 {
            throw ProcessError("cannot enter the working directory \(directory)", code: errno)
        }
        let log = try openLog(service.logFile)
        defer { close(log) }
        var pid: pid_t = 0
        let code = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                opsd_spawn(
                    &pid, service.executable, arguments, environment, service.workingDirectory,
                    log)
            }
        }
        guard code == 0 else {
            throw ProcessError("cannot run \(service.executable)", code: code)
        }
        ProcessLimits.lowerOpenFiles(of: pid)
        return pid
    }

    /// Owner-only, also when the file was there before with other rights.
    private static func openLog(_ path: String) throws(ProcessError) -> Int32 {
        let opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            throw ProcessError("cannot open the log file \(path)", code: errno)
        }
        defer { close(opened) }
        // Above the first three, which the child's own are put over: a supervisor that was started
        // with one of them closed would get it here.
        let descriptor = fcntl(opened, F_DUPFD_CLOEXEC, 3)
        guard descriptor >= 0 else {
            throw ProcessError("cannot open the log file \(path)", code: errno)
        }
        guard fchmod(descriptor, 0o600) == 0 else {
            let code = errno
            close(descriptor)
            throw ProcessError("cannot make the log file \(path) owner-only", code: code)
        }
        return descriptor
    }

    private static func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}

extension StopSignal {
    var number: Int32 {
        switch self {
        case .HUP: SIGHUP
        case .INT: SIGINT
        case .QUIT: SIGQUIT
        case .KILL: SIGKILL
        case .USR1: SIGUSR1
        case .USR2: SIGUSR2
        case .TERM: SIGTERM
        }
    }
}
