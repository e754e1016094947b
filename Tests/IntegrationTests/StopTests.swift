import Foundation
import TestSupport
import Testing

extension RealProcesses {
    /// A stop in the middle of the day's work.
    @Suite(.serialized) struct StopTests {
        @Test(.timeLimit(.minutes(5)))
        func aStopUnderTwoHundredClientsIsQuickAndLosesNothing() async throws {
            try await Desk.run(DeskSettings(accounts: 4, cash: 50_000_000)) { desk in
                let load = try await OrderLoad(desk)
                var took = Duration.zero
                try await load.run(clientsPerAccount: 50, pause: .milliseconds(50)) {
                    try await eventually("the load has begun", within: .seconds(120)) {
                        load.acceptedCount >= 3_000
                    }
                    let start = ContinuousClock.now
                    #expect(try await desk.terminate() == 0)
                    took = start.duration(to: .now)
                }
                print(
                    "stopped in \(took) under 200 clients, after \(load.acceptedCount) orders; "
                        + "answers lost: \(load.record.lost.count)")
                #expect(took < .seconds(10))
                #expect(ProcessesOf.directory(desk.directory.path).isEmpty)
                try await desk.start()
                try await desk.waitUntilReady()
                try await Books(desk, load).check()
            }
        }
    }
}
