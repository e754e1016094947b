import CurlClient
import Foundation
import TestSupport
import Testing

@Suite struct CurlClientTests {
    private func failure(
        _ client: CurlClient, _ request: CurlRequest
    ) async -> CurlError? {
        do throws(CurlError) {
            _ = try await client.send(request)
            return nil
        } catch {
            return error
        }
    }

    @Test func sendsMethodHeadersAndBodyAndReadsTheAnswer() async throws {
        let server = try ScriptedServer { _ in
            .answer(status: 201, headers: ["X-Kind": "  padded  "], body: "hello")
        }
        defer { server.stop() }
        let client = CurlClient()
        let response = try await client.send(
            CurlRequest(
                .patch, server.url + "/a?b=c", headers: ["X-One": "1", "X-Empty": ""],
                body: Array("body".utf8)))
        #expect(response.status == 201)
        #expect(response.text == "hello")
        #expect(response.headers["x-kind"] == "padded")
        #expect(response.duration > .zero)
        let request = try #require(server.requests.first)
        #expect(request.method == "PATCH")
        #expect(request.target == "/a?b=c")
        #expect(request.headers["x-one"] == "1")
        #expect(request.headers["x-empty"] == "")
        #expect(request.headers["content-type"] == nil)
        #expect(request.body == "body")
        await client.shutdown()
    }

    @Test(arguments: [CurlRequest.Method.get, .head, .post, .put, .delete])
    func everyMethodArrives(method: CurlRequest.Method) async throws {
        let server = try ScriptedServer { _ in .answer(status: 200) }
        defer { server.stop() }
        let client = CurlClient()
        let response = try await client.send(CurlRequest(method, server.url))
        #expect(response.status == 200)
        #expect(server.requests.first?.method == method.rawValue)
        await client.shutdown()
    }

    @Test func handlesThatAreUsedAgainKeepNothingOfTheRequestBefore() async throws {
        let server = try ScriptedServer { _ in .answer(status: 200, body: "x") }
        defer { server.stop() }
        let client = CurlClient()
        _ = try await client.send(
            CurlRequest(.post, server.url, headers: ["X-Token": "s"], body: Array("b".utf8)))
        let second = try await client.send(CurlRequest(.get, server.url))
        #expect(second.text == "x")
        #expect(server.requests[1].headers["x-token"] == nil)
        #expect(server.requests[1].body == "")
        #expect(server.requests[1].indexOnConnection == 1, "the connection was kept")
        await client.shutdown()
    }

    @Test func aRefusedConnectionIsNotSent() async throws {
        let client = CurlClient()
        let port = try freePort()
        let error = await failure(
            client, CurlRequest(.post, "http://127.0.0.1:\(port)/x?token=secret"))
        #expect(error?.reason == .couldNotConnect)
        #expect(error?.delivery == .notSent)
        #expect(error?.target == "http://127.0.0.1:\(port)/x")
        #expect(error.map { "\($0)".contains("secret") } == false)
        await client.shutdown()
    }

    @Test func anUnknownHostIsNotSent() async {
        let client = CurlClient()
        let error = await failure(client, CurlRequest(.get, "http://nowhere.invalid/"))
        #expect(error?.reason == .couldNotResolve)
        #expect(error?.delivery == .notSent)
        await client.shutdown()
    }

    @Test func aTimeoutAfterSendingIsAmbiguous() async throws {
        let server = try ScriptedServer { _ in .hang }
        defer { server.stop() }
        let client = CurlClient()
        let error = await failure(
            client,
            CurlRequest(.post, server.url, body: Array("b".utf8), timeout: .milliseconds(150)))
        #expect(error?.reason == .timedOut)
        #expect(error?.delivery == .ambiguous)
        await client.shutdown()
    }

    @Test func waitingForAConnectionTimesOutAsNotSent() async throws {
        let server = try ScriptedServer { _ in .hang }
        defer { server.stop() }
        let client = CurlClient(configuration: CurlConfiguration(connectionsPerHostMax: 1))
        async let first = failure(client, CurlRequest(.get, server.url, timeout: .seconds(5)))
        while server.requests.isEmpty { await Task.yield() }
        let second = await failure(
            client, CurlRequest(.post, server.url, timeout: .milliseconds(100)))
        #expect(second?.reason == .timedOut)
        #expect(second?.delivery == .notSent)
        server.stop()
        #expect(await first?.delivery == .ambiguous)
        await client.shutdown()
    }

    @Test func aConnectionClosedAfterTheRequestWasReadIsAmbiguous() async throws {
        let server = try ScriptedServer { _ in .close }
        defer { server.stop() }
        let client = CurlClient()
        let error = await failure(client, CurlRequest(.post, server.url, body: [1, 2, 3]))
        #expect(error?.reason == .connectionLost)
        #expect(error?.delivery == .ambiguous)
        await client.shutdown()
    }

    @Test func aKeptConnectionThatDiesDoesNotSendAPostTwice() async throws {
        let server = try ScriptedServer { request in
            request.index == 1 ? .close : .answer(status: 200)
        }
        defer { server.stop() }
        let client = CurlClient()
        _ = try await client.send(CurlRequest(.post, server.url, body: [1]))
        let error = await failure(client, CurlRequest(.post, server.url, body: [2]))
        #expect(error?.delivery == .ambiguous)
        #expect(error?.reason == .connectionLost)
        #expect(server.requests.count == 2)
        await client.shutdown()
    }

    @Test func aCutAnswerIsAmbiguous() async throws {
        let server = try ScriptedServer { _ in
            .raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        }
        defer { server.stop() }
        let client = CurlClient()
        let error = await failure(client, CurlRequest(.get, server.url))
        #expect(error?.reason == .connectionLost)
        #expect(error?.delivery == .ambiguous)
        await client.shutdown()
    }

    @Test func anAnswerLargerThanTheLimitIsRefused() async throws {
        let server = try ScriptedServer { _ in
            .answer(status: 200, body: String(repeating: "x", count: 2_000))
        }
        defer { server.stop() }
        let client = CurlClient(configuration: CurlConfiguration(responseBytesMax: 1_999))
        #expect(await failure(client, CurlRequest(.get, server.url))?.reason == .responseTooLarge)
        await client.shutdown()
    }

    @Test func redirectsAreNotFollowed() async throws {
        let server = try ScriptedServer { _ in .answer(status: 302, headers: ["Location": "/else"])
        }
        defer { server.stop() }
        let client = CurlClient()
        #expect(try await client.send(CurlRequest(.get, server.url)).status == 302)
        #expect(server.requests.count == 1)
        await client.shutdown()
    }

    @Test func anInterimAnswerLeavesNoHeaders() async throws {
        let server = try ScriptedServer { _ in
            .raw(
                "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n"
                    + "HTTP/1.1 200 OK\r\nX-Late: 2\r\nContent-Length: 0\r\n\r\n")
        }
        defer { server.stop() }
        let client = CurlClient()
        let response = try await client.send(CurlRequest(.get, server.url))
        #expect(response.headers["X-Early"] == nil)
        #expect(response.headers["X-Late"] == "2")
        await client.shutdown()
    }

    @Test(arguments: ["file:///etc/passwd", "ftp://127.0.0.1/", "no url", "http://a b/"])
    func otherSchemesAndNonsenseAreRefused(url: String) async {
        let client = CurlClient()
        let error = await failure(client, CurlRequest(.get, url, timeout: .seconds(2)))
        #expect(error != nil)
        #expect(error?.delivery == .notSent)
        await client.shutdown()
    }

    @Test func aHeaderCannotSmuggleAnother() async {
        let client = CurlClient()
        let error = await failure(
            client, CurlRequest(.get, "http://127.0.0.1:1/", headers: ["X": "a\r\nY: b"]))
        #expect(error?.reason == .invalidRequest)
        await client.shutdown()
    }

    @Test func cancellationAbortsTheTransfer() async throws {
        let server = try ScriptedServer { _ in .hang }
        defer { server.stop() }
        let client = CurlClient()
        let task = Task { await failure(client, CurlRequest(.get, server.url)) }
        while server.requests.isEmpty { await Task.yield() }
        task.cancel()
        let error = await task.value
        #expect(error?.reason == .cancelled)
        #expect(error?.delivery == .ambiguous)
        await client.shutdown()
    }

    @Test func aTaskCancelledBeforehandSendsNothing() async throws {
        let server = try ScriptedServer { _ in .answer(status: 200) }
        defer { server.stop() }
        let client = CurlClient()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await failure(client, CurlRequest(.get, server.url))
        }
        #expect(await task.value?.reason == .cancelled)
        #expect(server.requests.isEmpty)
        await client.shutdown()
    }

    @Test func shutdownFailsWhatIsPendingAndRefusesWhatComes() async throws {
        let server = try ScriptedServer { _ in .hang }
        defer { server.stop() }
        let client = CurlClient()
        let task = Task { await failure(client, CurlRequest(.get, server.url)) }
        while server.requests.isEmpty { await Task.yield() }
        await client.shutdown()
        #expect(await task.value?.reason == .shutDown)
        let late = await failure(client, CurlRequest(.get, server.url))
        #expect(late?.reason == .shutDown)
        #expect(late?.delivery == .notSent)
        await client.shutdown()
    }

    @Test func targetsLoseUserQueryAndFragment() async {
        let client = CurlClient()
        let error = await failure(client, CurlRequest(.get, "http://u:p@127.0.0.1:1/p?q=1#f"))
        #expect(error?.target == "http://127.0.0.1:1/p")
        await client.shutdown()
    }
}
