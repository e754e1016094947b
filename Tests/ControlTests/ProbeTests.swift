import Foundation
import Ledger
import TestSupport
import Testing

@testable import Control

@Suite(.timeLimit(.minutes(1))) struct ProbeTests {
    private static func prober(
        in directory: String? = nil, at now: Timestamp = .now()
    ) -> SystemProber {
        SystemProber(
            workingDirectory: directory, http: { url, _, _ in .success(url) },
            service: { .failure($0) }, store: { name, _ in .degraded(name) }, now: { now })
    }

    private func run(
        _ probe: HealthProbe, timeout: Duration = .seconds(10), in directory: String? = nil
    ) async -> ProbeOutcome {
        await Self.prober(in: directory).probe(
            HealthCheck(name: "one", probe: probe, timeout: timeout))
    }

    @Test func whatTheRoomDoesNotKnowIsAskedThroughTheClosures() async {
        #expect(await run(.http(url: "http://x", status: nil)) == .success("http://x"))
        #expect(await run(.service("core")) == .failure("core"))
        #expect(
            await run(.store(StoreProbe(store: "hot", question: .answers))) == .degraded("one"))
    }

    // MARK: Programs

    @Test func theExitCodeDecidesAndTheFirstLineIsTold() async {
        #expect(
            await run(.command(["sh", "-c", "echo all good; echo more"]))
                == .success("sh exited with code 0: all good"))
        #expect(
            await run(.command(["sh", "-c", "echo bad >&2; exit 3"]))
                == .failure("sh exited with code 3: bad"))
        #expect(
            await run(.command(["sh", "-c", "kill -9 $$"]))
                == .failure("sh killed by signal 9 (SIGKILL)"))
        #expect(
            await run(.command(["sh", "-c", #"printf '\033[31mred\n'"#]))
                == .success("sh exited with code 0: [31mred"))
    }

    @Test func noShellReadsTheWords() async {
        #expect(
            await run(.command(["echo", "$HOME;", "`id`"]))
                == .success("echo exited with code 0: $HOME; `id`"))
    }

    @Test func aProgramThatCannotBeStartedIsUnknown() async {
        guard case .unknown(let text) = await run(.command(["no-such-program-here"])) else {
            Issue.record("it was taken for an answer")
            return
        }
        #expect(text.contains("No such file"))
        guard case .unknown = await run(.command(["true"]), in: "/no/such/folder") else {
            Issue.record("it was taken for an answer")
            return
        }
    }

    @Test func aProgramIsKilledWithItsGroupWhenItsTimeIsOver() async throws {
        let directory = try TemporaryDirectory()
        let outcome = await run(
            .command(["sh", "-c", "sleep 600 & echo $! > child; wait"]),
            timeout: .milliseconds(500), in: directory.path)
        #expect(outcome == .failure("sh: did not end within 500 ms; killed"))
        let text = try String(contentsOfFile: directory.path("child"), encoding: .utf8)
        let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let deadline = ContinuousClock.now + .seconds(10)
        while let state = ProcessStat.read(String(child))?.state, state != "Z" {
            try #require(ContinuousClock.now < deadline, "its child lives on")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func whatItLeavesBehindIsKilledToo() async throws {
        let directory = try TemporaryDirectory()
        let outcome = await run(
            .command(["sh", "-c", "sleep 600 & echo $! > child"]), in: directory.path)
        #expect(outcome == .success("sh exited with code 0"))
        let text = try String(contentsOfFile: directory.path("child"), encoding: .utf8)
        let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
        let deadline = ContinuousClock.now + .seconds(10)
        while let state = ProcessStat.read(String(child))?.state, state != "Z" {
            try #require(ContinuousClock.now < deadline, "its child lives on")
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func aFloodOfOutputNeitherBlocksNorOutlastsTheTimeout() async {
        #expect(
            await run(.command(["sh", "-c", "head -c 3000000 /dev/zero; exit 0"]))
                == .success("sh exited with code 0"))
        let start = ContinuousClock.now
        let outcome = await run(.command(["yes"]), timeout: .milliseconds(300))
        #expect(outcome == .failure("yes: did not end within 300 ms; killed"))
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    /// In a process of its own: other tests open descriptors too.
    @Test func programsLeaveNeitherDescriptorsNorZombies() async {
        await #expect(processExitsWith: .success) {
            func descriptors() -> Int {
                let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
                return open?.count ?? 0
            }
            let probe = CommandProbe(
                words: ["true"], check: "c", directory: nil, timeout: .seconds(20))
            guard case .success = probe.run() else { exit(1) }
            let before = descriptors()
            for _ in 0..<30 { _ = probe.run() }
            let hasChildren = waitpid(-1, nil, WNOHANG) >= 0
            exit(descriptors() == before && before > 0 && !hasChildren ? 0 : 2)
        }
    }

    // MARK: Ports

    @Test func aPortThatListensIsWellAndOneThatDoesNotIsAFailure() async throws {
        let server = try ListeningSocket()
        #expect(
            await run(.tcp(host: "127.0.0.1", port: server.port))
                == .success("127.0.0.1:\(server.port) accepts connections"))
        #expect(
            await run(.tcp(host: "localhost", port: server.port))
                == .success("localhost:\(server.port) accepts connections"))
        server.close()
        // Taken, so that nobody else can listen there meanwhile.
        let mute = try ListeningSocket(listens: false)
        #expect(
            await run(.tcp(host: "127.0.0.1", port: mute.port))
                == .failure("127.0.0.1:\(mute.port): Connection refused"))
        mute.close()
    }

    @Test func aNameThatDoesNotResolveIsAFailure() async {
        guard case .failure(let text) = await run(.tcp(host: "no-such-name.invalid", port: 1))
        else {
            Issue.record("the name is not there: whoever relies on it fares badly")
            return
        }
        #expect(text.hasPrefix("no-such-name.invalid:1: "))
    }

    // MARK: Files

    @Test func aDiskIsJudgedByShareAndByBytes() {
        let space = FileSystemSpace(sizeBytes: 1_000_000_000, freeBytes: 99_900_000)
        #expect(
            DiskProbe.judge("/d", space, .share(0.1))
                == .failure("/d has 99.9 MB free of 1 GB (9.9%), less than 10%"))
        guard case .success = DiskProbe.judge("/d", space, .share(0.0999)) else {
            Issue.record("exactly enough is enough")
            return
        }
        guard case .success = DiskProbe.judge("/d", space, .bytes(99_900_000)) else {
            Issue.record("exactly enough is enough")
            return
        }
        #expect(
            DiskProbe.judge("/d", space, .bytes(100_000_000))
                == .failure("/d has 99.9 MB free of 1 GB (9.9%), less than 100 MB"))
        #expect(FileSystemSpace(sizeBytes: 0, freeBytes: 0).freeShare == 1)
    }

    @Test func aRealDiskIsMeasuredAndOneThatIsNotThereIsAFailure() async {
        guard case .success = await run(.disk(path: "/", freeBelow: .bytes(1))) else {
            Issue.record("the root has a byte free")
            return
        }
        #expect(
            await run(.disk(path: "/no/such/place", freeBelow: .bytes(1)))
                == .failure("/no/such/place: No such file or directory"))
    }

    @Test func aFileIsJudgedByItsAge() {
        let now = Timestamp(microseconds: 10_000_000_000)
        func judge(_ secondsAgo: Int64) -> ProbeOutcome {
            FileAgeProbe.judge(
                "f", changed: now.advanced(bySeconds: -secondsAgo), staleAfter: .seconds(60),
                now: now)
        }
        #expect(judge(60) == .success("f was written 1 min ago"))
        #expect(judge(61) == .failure("f was written 1 min ago, more than 1 min"))
        #expect(judge(-30) == .success("f was written 0 ms ago"))
    }

    @Test func aMissingFileIsAFailure() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("heartbeat")
        #expect(
            await run(.fileAge(path: path, staleAfter: .seconds(60)))
                == .failure("\(path): No such file or directory"))
        try Data().write(to: URL(fileURLWithPath: path))
        guard case .success = await run(.fileAge(path: path, staleAfter: .seconds(60))) else {
            Issue.record("it was written just now")
            return
        }
    }

    @Test(
        arguments: [
            ("4711\n", 4711), (" 12 root", 12), ("", nil), ("x", nil), ("0", nil), ("-4", nil),
            ("99999999999", nil),
        ] as [(String, Int32?)])
    func theProcessIdIsTheFirstWord(text: String, pid: Int32?) {
        #expect(PIDFileProbe.pid(in: text) == pid)
    }

    @Test func aProcessIsLookedUpByItsFile() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("daemon.pid")
        let probe = HealthProbe.process(pidFile: path)
        #expect(await run(probe) == .failure("\(path): No such file or directory"))
        try Data("\(getpid())\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(await run(probe) == .success("process \(getpid()) runs"))
        // Beyond the largest id that Linux gives.
        try Data("4194305\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(await run(probe) == .failure("process 4194305 of \(path) does not run"))
        try Data("soon".utf8).write(to: URL(fileURLWithPath: path))
        #expect(await run(probe) == .failure("\(path) holds no process id"))
        #expect(
            PIDFileProbe.judge("p", 5, state: "T")
                == .failure("process 5 of p is stopped by a signal"))
        #expect(PIDFileProbe.judge("p", 5, state: "Z") == .failure("process 5 of p has ended"))
    }

    @Test func whatOpsdMayNotSeeIsUnknown() {
        #expect(ProbeError.outcome("f", code: EACCES) == .unknown("f: Permission denied"))
        #expect(ProbeError.outcome("f", code: EMFILE) == .unknown("f: Too many open files"))
        #expect(ProbeError.outcome("f", code: ENOENT) == .failure("f: No such file or directory"))
    }

    @Test(arguments: [
        (Duration.milliseconds(850), "850 ms"), (.milliseconds(12_500), "12.5 s"),
        (.seconds(30), "30 s"), (.seconds(240), "4 min"), (.seconds(7_300), "2 h"),
        (.seconds(200_000), "2 d"), (.seconds(-1), "0 ms"),
    ])
    func durationsAreShort(duration: Duration, text: String) {
        #expect(DurationText.short(duration) == text)
    }
}

/// A port that accepts connections, or one that is held and refuses them.
final class ListeningSocket: Sendable {
    let port: Int
    private let descriptor: Int32

    init(listens: Bool = true) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isOpen = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, length) == 0
                    && (!listens || listen(descriptor, 8) == 0)
                    && getsockname(descriptor, generic, &length) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        if !isOpen { throw CocoaError(.fileReadUnknown) }
    }

    func close() { Foundation.close(descriptor) }
}
