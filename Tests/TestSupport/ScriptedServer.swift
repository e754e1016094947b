import Foundation
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A tiny HTTP server on the loopback interface that does what a test says, misdeeds included:
/// answering oddly, hanging, closing after it has read a request.
///
/// `@unchecked Sendable`: what changes is under the lock. Its calls block, so each connection has a
/// thread of its own.
public final class ScriptedServer: @unchecked Sendable {
    public struct Request: Sendable {
        public var method: String
        /// Path and query, as they came.
        public var target: String
        public var headers: [String: String]
        public var body: String
        /// Requests before this one, on all connections.
        public var index: Int
        /// Requests before this one on its own connection.
        public var indexOnConnection: Int
    }

    public enum Action: Sendable {
        case answer(status: Int, headers: [String: String] = [:], body: String = "")
        /// Bytes as they are, then the connection is closed.
        case raw(String)
        /// Closes without a word.
        case close
        /// Says nothing until the client gives up or the server stops.
        case hang
    }

    public let port: Int
    public var url: String { "http://127.0.0.1:\(port)" }

    private struct State {
        var requests: [Request] = []
        var descriptors: Set<Int32> = []
        var isStopped = false
    }

    /// Threads, not tasks, share it: a lock.
    private let state = Mutex(State())
    private let listener: Int32
    private let script: @Sendable (Request) -> Action

    public init(_ script: @escaping @Sendable (Request) -> Action) throws {
        self.script = script
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { [listener] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(listener, generic, length) == 0
                    && getsockname(listener, generic, &length) == 0 && listen(listener, 64) == 0
            }
        }
        port = Int(UInt16(bigEndian: address.sin_port))
        guard isListening else { throw FreePortError(step: "listen", code: errno) }
        Thread.detachNewThread { [self] in acceptConnections() }
    }

    /// Everything that was read so far.
    public var requests: [Request] { state.withLock { $0.requests } }

    public func stop() {
        state.withLock { state in
            guard !state.isStopped else { return }
            state.isStopped = true
            shutdown(listener, Int32(SHUT_RDWR))
            close(listener)
            for descriptor in state.descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private func acceptConnections() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            state.withLock { _ = $0.descriptors.insert(descriptor) }
            Thread.detachNewThread { [self] in
                serve(descriptor)
                state.withLock { state in
                    state.descriptors.remove(descriptor)
                    close(descriptor)
                }
            }
        }
    }

    private func serve(_ descriptor: Int32) {
        var buffer: [UInt8] = []
        var count = 0
        while let request = readRequest(descriptor, &buffer, count) {
            count += 1
            switch script(request) {
            case .answer(let status, let headers, let body):
                var head = "HTTP/1.1 \(status) Scripted\r\nContent-Length: \(body.utf8.count)\r\n"
                for (name, value) in headers { head += "\(name): \(value)\r\n" }
                guard write(head + "\r\n" + body, descriptor) else { return }
            case .raw(let text):
                _ = write(text, descriptor)
                return
            case .close:
                return
            case .hang:
                var byte: UInt8 = 0
                while recv(descriptor, &byte, 1, 0) > 0 {}
                return
            }
        }
    }

    private func write(_ text: String, _ descriptor: Int32) -> Bool {
        let bytes = Array(text.utf8)
        return send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    private func readRequest(
        _ descriptor: Int32, _ buffer: inout [UInt8], _ count: Int
    ) -> Request? {
        while true {
            if let request = parse(&buffer, count) { return request }
            var chunk = [UInt8](repeating: 0, count: 65_536)
            let received = recv(descriptor, &chunk, chunk.count, 0)
            guard received > 0 else { return nil }
            buffer += chunk.prefix(received)
        }
    }

    private func parse(_ buffer: inout [UInt8], _ count: Int) -> Request? {
        guard let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
        let lines = head.components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ").map(String.init)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] =
                line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
        }
        let length = headers["content-length"].flatMap(Int.init) ?? 0
        guard buffer.count >= end.upperBound + length, words.count >= 2 else { return nil }
        let body = String(
            decoding: buffer[end.upperBound..<(end.upperBound + length)], as: UTF8.self)
        buffer.removeFirst(end.upperBound + length)
        return state.withLock { state in
            let request = Request(
                method: words[0], target: words[1], headers: headers, body: body,
                index: state.requests.count, indexOnConnection: count)
            state.requests.append(request)
            return request
        }
    }
}
