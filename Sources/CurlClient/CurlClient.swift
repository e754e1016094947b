/// An HTTP/1.1 client over libcurl's multi interface.
///
/// One thread owns libcurl; callers are suspended, never blocked. Connections are kept alive and
/// shared by all callers. A request whose delivery is in doubt is never silently sent again, unless
/// it is a GET or HEAD.
public final class CurlClient: Sendable {
    private let loop: TransferLoop

    public init(configuration: CurlConfiguration = CurlConfiguration()) {
        loop = TransferLoop(configuration: configuration)
        loop.startThread()
    }

    deinit {
        loop.stop()
    }

    /// Sends a request and waits for the whole answer. Cancelling the task aborts the transfer.
    public func send(_ request: CurlRequest) async throws(CurlError) -> CurlResponse {
        let target = CurlError.target(of: request.url)
        guard let problem = request.problem else {
            return try await transfer(request, target: target)
        }
        throw CurlError(
            reason: .invalidRequest, delivery: .notSent, target: target, detail: problem)
    }

    private func transfer(
        _ request: CurlRequest, target: String
    ) async throws(CurlError) -> CurlResponse {
        let transfer = Transfer(
            request: request, target: target,
            responseBytesMax: loop.configuration.responseBytesMax)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.continuation = continuation
                loop.start(transfer)
            }
        } onCancel: {
            loop.cancel(transfer)
        }
        return try result.get()
    }

    /// Fails what is pending, refuses what comes later, and returns when the thread has ended.
    public func shutdown() async {
        await withCheckedContinuation { continuation in
            loop.stop { continuation.resume() }
        }
    }
}

public struct CurlConfiguration: Sendable {
    /// Further requests wait for a connection; their timeout runs meanwhile.
    public var connectionsPerHostMax: Int
    /// Idle connections kept open, over all hosts.
    public var idleConnectionsMax: Int
    /// A larger body aborts the transfer.
    public var responseBytesMax: Int
    /// Whether `http_proxy` and its kin are obeyed.
    public var usesEnvironmentProxy: Bool
    public var userAgent: String

    public init(
        connectionsPerHostMax: Int = 32, idleConnectionsMax: Int = 64,
        responseBytesMax: Int = 16 << 20, usesEnvironmentProxy: Bool = false,
        userAgent: String = "opsd"
    ) {
        self.connectionsPerHostMax = connectionsPerHostMax
        self.idleConnectionsMax = idleConnectionsMax
        self.responseBytesMax = responseBytesMax
        self.usesEnvironmentProxy = usesEnvironmentProxy
        self.userAgent = userAgent
    }
}

extension CurlRequest {
    /// What would let a value break out of its header line or be cut short in C.
    fileprivate var problem: String? {
        let isBare = { (text: String) in
            text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            return "the URL holds a space or a control character"
        }
        for field in headers.fields {
            guard !field.name.isEmpty, isBare(field.name), !field.name.contains(":") else {
                return "a header's name is not allowed"
            }
            guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
                return "the value of header \(field.name) holds a control character"
            }
        }
        guard unixSocketPath.map(isBare) ?? true else { return "the socket's path is not allowed" }
        return nil
    }
}
