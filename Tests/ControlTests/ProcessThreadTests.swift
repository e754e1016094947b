import Foundation
import TestSupport
import Testing

@testable import Control

@Suite struct ProcessThreadTests {
    /// A supervisor that comes back after a crash watches what its predecessor started: processes
    /// that are not its children, whose end it sees but whose status it is not told.
    @Test func anAdoptedProcessIsWatchedLikeAChild() async throws {
        let shop = try Workshop()
        let supervisor = try shop.supervisor(
            [
                shop.script(
                    "s", "sleep 60 & echo $! > $DIR/child; touch $DIR/s.ready; wait; exec sleep 60")
            ], readyByFile: true)
        await supervisor.start()
        try await shop.log.wait(for: "s") { $0 == .ready }
        let child = try #require(
            Int32(try shop.text("child").trimmingCharacters(in: .whitespacesAndNewlines)))
        let thread = try ProcessThread()
        let stat = try #require(ProcessStat.read(String(child)))
        let identity = ProcessIdentity(pid: child, startTicks: stat.startTicks)
        let adopted = try await thread.adopt(identity).get()
        async let exit = thread.exit(of: adopted)
        kill(child, SIGKILL)
        #expect(await exit == .unknown)
        await supervisor.stopAll()
    }

    /// A log on a file system that does not answer: here a pipe that nobody reads, which cannot be
    /// opened for writing.
    @Test func aStartThatHangsDoesNotKeepTheOthersFromBeingWatched() async throws {
        let shop = try Workshop()
        #expect(mkfifo(shop.path("stuck.log"), 0o600) == 0)
        let policy = RestartPolicy(backoff: .milliseconds(10), factor: 1)
        let supervisor = try shop.supervisor([
            shop.script("stuck", "exec sleep 60"),
            shop.script("other", "exit 1", restart: policy),
        ])
        await supervisor.start()
        try await shop.log.wait(for: "other", count: 3, \.isExited)
        #expect(await supervisor.status(of: "stuck")?.state == .starting)
        let reader = open(shop.path("stuck.log"), O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        try await shop.log.wait(for: "stuck", \.isStarted)
        await supervisor.stopAll()
    }

    @Test func aProcessThatIsGoneCannotBeAdopted() async throws {
        let thread = try ProcessThread()
        // Above the kernel's largest process id.
        await #expect(throws: ProcessError.self) {
            try await thread.adopt(ProcessIdentity(pid: 1 << 23, startTicks: 1)).get()
        }
        // Its id means another process by now.
        await #expect(throws: ProcessError.self) {
            try await thread.adopt(ProcessIdentity(pid: getpid(), startTicks: 1)).get()
        }
    }

    @Test func aCommandsNameWithBlanksAndParenthesesIsNoRiddle() {
        let stat = ProcessStat(
            "7 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 11 22 0 0 20 0 1 0 333 1000 44 1 2 3")
        #expect(stat?.state == "S")
        #expect(stat?.parent == 1)
        #expect(stat?.group == 42)
        #expect(stat?.session == 42)
        #expect(stat?.cpuTicks == 33)
        #expect(stat?.startTicks == 333)
        #expect(stat?.residentPages == 44)
    }
}
