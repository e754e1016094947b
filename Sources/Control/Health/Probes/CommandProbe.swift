internal import CProcess
internal import Foundation
internal import Glibc

/// Runs a program and looks at its exit code. No shell; a session of its own; it and whatever is left
/// in its process group are killed when it has ended or its time is over. The first bytes that it
/// prints go into the message. It waits on the calling thread: never on the pool.
struct CommandProbe: Sendable {
    let words: [String]
    /// Told to the program as `OPSD_CHECK`.
    let check: HealthCheckName
    let directory: String?
    let timeout: Duration

    private static let outputBytesMax = 200

    func run() -> ProbeOutcome {
        let program = words.first ?? ""
        let pipe: (reading: Int32, writing: Int32)
        switch OutputPipe.make() {
        case .success(let made): pipe = made
        case .failure(let error): return .unknown("\(program): \(error)")
        }
        defer { close(pipe.reading) }
        let started = start(program, output: pipe.writing)
        close(pipe.writing)
        switch started {
        case .failure(let error): return .unknown("\(program): \(error)")
        case .success(let pid): return follow(pid, program, output: pipe.reading)
        }
    }

    private func start(_ program: String, output: Int32) -> Result<pid_t, ProcessError> {
        var environment = ProcessInfo.processInfo.environment
            .filter { !ProcessTag.ofTheSupervisorAlone.contains($0.key) }
        environment["OPSD_CHECK"] = check
        let variables = environment.map { "\($0.key)=\($0.value)" }
        guard !(words + variables).contains(where: { $0.utf8.contains(0) }) else {
            return .failure(ProcessError("an argument contains NUL"))
        }
        var pid: pid_t = 0
        let code = CStrings.with(words) { words in
            CStrings.with(variables) { variables in
                opsd_spawn(&pid, program, words, variables, directory, output)
            }
        }
        guard code == 0 else { return .failure(ProcessError("cannot be started", code: code)) }
        ProcessLimits.lowerOpenFiles(of: pid)
        return .success(pid)
    }

    private func follow(_ pid: pid_t, _ program: String, output: Int32) -> ProbeOutcome {
        let watch = opsd_pidfd_open(pid)
        guard watch >= 0 else {
            let reason = String(cString: strerror(errno))
            end(pid)
            return .unknown("\(program): cannot be watched: \(reason)")
        }
        defer { close(watch) }
        let deadline = ContinuousClock.now + timeout
        var printed: [UInt8] = []
        var polled = [
            pollfd(fd: watch, events: Int16(POLLIN), revents: 0),
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
        ]
        while PollWait.wait(&polled, until: deadline) {
            if polled[1].revents != 0, !Self.drain(output, into: &printed) {
                // Nobody can print any more. A negative descriptor is passed over.
                polled[1].fd = -1
            }
            if polled[0].revents != 0 {
                let outcome = judge(pid, program)
                _ = Self.drain(output, into: &printed)
                end(pid)
                return outcome(Self.text(printed))
            }
            polled[1].revents = 0
        }
        end(pid)
        return .failure("\(program): did not end within \(DurationText.short(timeout)); killed")
    }

    private func judge(_ pid: pid_t, _ program: String) -> (String) -> ProbeOutcome {
        var code: Int32 = 0
        var status: Int32 = 0
        guard opsd_peek_exit(pid, &code, &status) == 1 else {
            return { _ in .unknown("\(program): its exit code is not known") }
        }
        let exit: ProcessExit =
            code == Int32(CLD_EXITED) ? .exited(code: status) : .signalled(status)
        return { printed in
            let text = "\(program) \(exit)" + (printed.isEmpty ? "" : ": \(printed)")
            return exit.isSuccess ? .success(text) : .failure(text)
        }
    }

    /// While the leader is not reaped, its group's id cannot mean another group.
    private func end(_ pid: pid_t) {
        kill(-pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// False at the end of the output. What is beyond the limit is read and thrown away, so that the
    /// program never waits for a full pipe; a part at a time, because one that prints for ever must
    /// not hold this thread beyond the deadline.
    private static func drain(_ descriptor: Int32, into printed: inout [UInt8]) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 4_096)
        for _ in 0..<16 {
            let count = read(descriptor, &chunk, chunk.count)
            if count == 0 { return false }
            guard count > 0 else { return errno == EAGAIN || errno == EINTR }
            printed += chunk[..<min(count, max(0, outputBytesMax - printed.count))]
        }
        return true
    }

    /// One line of what was printed.
    private static func text(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return String(
            line.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }.map(Character.init)
        )
        .trimmingCharacters(in: .whitespaces)
    }
}

/// A pipe whose ends no other child gets, and which do not collide with a child's first three.
private enum OutputPipe {
    static func make() -> Result<(reading: Int32, writing: Int32), ProcessError> {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            return .failure(ProcessError("no pipe", code: errno))
        }
        defer { for end in ends { close(end) } }
        let reading = fcntl(ends[0], F_DUPFD_CLOEXEC, 3)
        let writing = fcntl(ends[1], F_DUPFD_CLOEXEC, 3)
        guard reading >= 0, writing >= 0, fcntl(reading, F_SETFL, O_NONBLOCK) == 0 else {
            let code = errno
            if reading >= 0 { close(reading) }
            if writing >= 0 { close(writing) }
            return .failure(ProcessError("no pipe", code: code))
        }
        return .success((reading, writing))
    }
}

/// Strings as C wants them, with NULL at the end, for as long as the call lasts.
private enum CStrings {
    static func with<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}
