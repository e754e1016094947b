import Control
import CurlClient
import Foundation
import Hummingbird
import Logging
import Synchronization
import TestSupport
import Testing

@testable import opsd

/// What the supervisor asks of its children, while one of them is slow.
@Suite struct ChildrenTests {
    /// A child whose metrics never come, and which answers its watchdog.
    private struct SlowChild {
        let folder: TemporaryDirectory
        let children: BuiltinChildren
        let curl = CurlClient()
        /// Under a lock: requests are on any thread. Those that wait now, and the most that ever did.
        let scrapes = Counts()

        final class Counts: Sendable {
            let values = Mutex((now: 0, most: 0))
        }

        init() throws {
            folder = try TemporaryDirectory("child")
            let configuration = try Configuration.load(EmbeddedDefault.write(in: folder.path))
            children = BuiltinChildren(configuration: configuration, curl: curl)
        }

        func run(_ body: (BuiltinChildren) async throws -> Void) async throws {
            let layout = DataLayout(try Configuration.load(folder.path("opsd.yaml")))
            try layout.prepare()
            let control = Router()
            let scrapes = scrapes
            control.get("metrics") { _, _ in
                scrapes.values.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                defer { scrapes.values.withLock { $0.now -= 1 } }
                try await Task.sleep(for: .seconds(60))
                return HTTPResponse.Status.ok
            }
            control.get("self") { _, _ in
                Response(
                    status: .ok,
                    body: ResponseBody(
                        byteBuffer: ByteBuffer(
                            string: #"{"code":200,"message":"ok","data":{"pid":7,"ready":true}}"#)))
            }
            var logger = Logger(label: "child")
            logger.logLevel = .critical
            let application = Application(
                router: control,
                configuration: ApplicationConfiguration(
                    address: .unixDomainSocket(path: layout.socket(of: "core"))), logger: logger)
            // It ends with the tests: a server that is cancelled while it accepts connections traps.
            Task { try await application.runService(gracefulShutdownSignals: []) }
            while await children.answer(of: "core", within: .seconds(1)) == .silent {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await body(children)
            await curl.shutdown()
        }
    }

    @Test(.timeLimit(.minutes(2)))
    func howeverManyScrapeAChildHasOneOfThemToAnswer() async throws {
        let child = try SlowChild()
        try await child.run { children in
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<200 {
                    group.addTask { #expect(await children.page(of: "core") == nil) }
                }
            }
            #expect(child.scrapes.values.withLock { $0.most } == 1)
        }
    }

    /// More scrapes than there may be connections to one host hang until the test ends, and the
    /// watchdog's question is answered all the same.
    @Test(.timeLimit(.minutes(2)))
    func whatIsSlowAtOnePathDoesNotHoldUpTheWatchdog() async throws {
        let child = try SlowChild()
        let socket = ServiceClient(
            socketPath: child.folder.path("run/core.sock"), curl: child.curl)
        try await child.run { children in
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        _ = try? await socket.ask(.get, "/metrics", timeout: .seconds(50))
                    }
                }
                while child.scrapes.values.withLock({ $0.now }) < 32 {
                    try? await Task.sleep(for: .milliseconds(5))
                }
                let answer = await children.answer(of: "core", within: .seconds(30))
                #expect(answer == .says(pid: 7, isReady: true))
                group.cancelAll()
            }
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func whoAsksAfterTheAnswerAsksAnew() async {
        let works = OneAtATime<String, Int>()
        let count = Mutex(0)
        for expected in 1...3 {
            let value = await works.value(of: "a") {
                count.withLock { count in
                    count += 1
                    return count
                }
            }
            #expect(value == expected)
        }
    }
}
