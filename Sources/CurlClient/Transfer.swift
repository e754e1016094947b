import CCurl
import Synchronization

/// One exchange, from hand-over to answer.
///
/// `@unchecked Sendable`: the sender fills it before it queues it and does not touch it again (but
/// for `isCancelled`, an atomic); from then on only the loop's thread does. The queue's lock orders
/// the two.
final class Transfer: @unchecked Sendable {
    let request: CurlRequest
    let target: String
    let responseBytesMax: Int
    let isCancelled = Atomic<Bool>(false)
    var continuation: CheckedContinuation<Result<CurlResponse, CurlError>, Never>?

    var easy: UnsafeMutableRawPointer?
    var headerList: UnsafeMutablePointer<curl_slist>?
    var fields: [CurlHeaders.Field] = []
    var body: [UInt8] = []
    var isTooLarge = false
    /// Why this side could not make a socket; 0 when it could.
    var socketError: Int32 = 0
    /// How often libcurl began to send the request. It tries again by itself when a kept connection
    /// turns out dead before the first byte of an answer.
    var attempts = 0

    init(request: CurlRequest, target: String, responseBytesMax: Int) {
        self.request = request
        self.target = target
        self.responseBytesMax = responseBytesMax
    }

    func finish(_ result: Result<CurlResponse, CurlError>) {
        continuation?.resume(returning: result)
        continuation = nil
    }

    func fail(_ reason: CurlError.Reason, _ delivery: CurlError.Delivery, _ detail: String) {
        finish(
            .failure(
                CurlError(reason: reason, delivery: delivery, target: target, detail: detail)))
    }

    func received(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard body.count + bytes.count <= responseBytesMax else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    func receivedHeader(_ line: UnsafeBufferPointer<UInt8>) {
        // A status line begins a new head: what an interim answer (100) brought is dropped.
        if line.starts(with: "HTTP/".utf8) {
            fields.removeAll(keepingCapacity: true)
            return
        }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
        let value = line[(colon + 1)...].drop { Self.isSpace($0) }
        let end = value.lastIndex { !Self.isSpace($0) }.map { $0 + 1 } ?? value.startIndex
        fields.append(
            CurlHeaders.Field(
                name: String(decoding: line[..<colon], as: UTF8.self),
                value: String(decoding: value[..<end], as: UTF8.self)))
    }

    /// libcurl's word for "none" is -1.
    func openSocket(_ address: UnsafePointer<curl_sockaddr>) -> Int32 {
        let result = opsd_open_socket(address)
        socketError = min(0, result) * -1
        return max(-1, result)
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A
    }
}

// MARK: - Setting up a handle

extension Transfer {
    /// Everything that libcurl must know of the request. libcurl copies strings; the list of headers
    /// lives until `release`.
    func configure(_ easy: UnsafeMutableRawPointer, _ configuration: CurlConfiguration) {
        self.easy = easy
        let context = Unmanaged.passUnretained(self).toOpaque()
        // No signals: libcurl would use SIGALRM for resolver time-outs, in a process full of threads.
        opsd_easy_set_long(easy, CURLOPT_NOSIGNAL, 1)
        opsd_easy_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        opsd_easy_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
        opsd_easy_set_long(easy, CURLOPT_HTTP_VERSION, 2)  // CURL_HTTP_VERSION_1_1
        opsd_easy_set_string(easy, CURLOPT_USERAGENT, configuration.userAgent)
        if !configuration.usesEnvironmentProxy { opsd_easy_set_string(easy, CURLOPT_PROXY, "") }
        opsd_easy_set_string(easy, CURLOPT_URL, request.url)
        opsd_easy_set_long(easy, CURLOPT_TIMEOUT_MS, Self.milliseconds(request.timeout))
        opsd_easy_set_long(
            easy, CURLOPT_CONNECTTIMEOUT_MS, Self.milliseconds(request.connectTimeout))
        if let path = request.unixSocketPath {
            opsd_easy_set_string(easy, CURLOPT_UNIX_SOCKET_PATH, path)
        }
        setCallbacks(easy, context)
        setMethodAndBody(easy)
        setHeaders(easy)
    }

    private func setCallbacks(
        _ easy: UnsafeMutableRawPointer, _ context: UnsafeMutableRawPointer
    ) {
        opsd_easy_set_pointer(easy, CURLOPT_PRIVATE, context)
        opsd_easy_set_pointer(easy, CURLOPT_WRITEDATA, context)
        opsd_easy_set_pointer(easy, CURLOPT_HEADERDATA, context)
        opsd_easy_set_write_function(easy, CURLOPT_WRITEFUNCTION) { data, size, count, context in
            guard let context, let data else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.received(bytes(data, size * count)) ? size * count : 0
        }
        opsd_easy_set_write_function(easy, CURLOPT_HEADERFUNCTION) { data, size, count, context in
            guard let context, let data else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            transfer.receivedHeader(bytes(data, size * count))
            return size * count
        }
        opsd_easy_set_pointer(easy, CURLOPT_OPENSOCKETDATA, context)
        // Only here can a lack of descriptors be told from a server that refuses.
        opsd_easy_set_open_socket_function(easy) { context, _, address in
            guard let context, let address else { return -1 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.openSocket(address)
        }
        opsd_easy_set_pointer(easy, CURLOPT_PREREQDATA, context)
        // Called before each sending, so the second call is libcurl's own repetition: refused where
        // the first may already have done its work.
        opsd_easy_set_prerequest_function(easy) { context, _, _, _, _ in
            guard let context else { return 0 }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            transfer.attempts += 1
            return transfer.attempts > 1 && !transfer.request.method.isSafe ? 1 : 0
        }
    }

    private func setMethodAndBody(_ easy: UnsafeMutableRawPointer) {
        let body = request.body ?? (request.method == .post ? [] : nil)
        if let body {
            opsd_easy_set_offset(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count))
            body.withUnsafeBytes { bytes in
                // An empty array may have no address, and libcurl takes none for "no body".
                if bytes.isEmpty {
                    _ = opsd_easy_set_string(easy, CURLOPT_COPYPOSTFIELDS, "")
                } else {
                    _ = opsd_easy_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, bytes.baseAddress)
                }
            }
        }
        switch request.method {
        case .head: opsd_easy_set_long(easy, CURLOPT_NOBODY, 1)
        case .get where body == nil: opsd_easy_set_long(easy, CURLOPT_HTTPGET, 1)
        case .post: opsd_easy_set_long(easy, CURLOPT_POST, 1)
        default: opsd_easy_set_string(easy, CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        }
    }

    private func setHeaders(_ easy: UnsafeMutableRawPointer) {
        // libcurl writes "Name;" for a header with no value, and drops one written "Name:".
        for field in request.headers.fields {
            let line = field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)"
            headerList = curl_slist_append(headerList, line)
        }
        // Waiting for "100 Continue" costs a second with servers that do not know it.
        headerList = curl_slist_append(headerList, "Expect:")
        // Else libcurl calls every body a form.
        if request.headers["Content-Type"] == nil {
            headerList = curl_slist_append(headerList, "Content-Type:")
        }
        opsd_easy_set_list(easy, CURLOPT_HTTPHEADER, headerList)
    }

    /// Gives up what belongs to libcurl, and returns the handle for another transfer.
    func release() -> UnsafeMutableRawPointer? {
        let handle = easy
        if let handle { curl_easy_reset(handle) }
        curl_slist_free_all(headerList)
        headerList = nil
        easy = nil
        return handle
    }

    /// At least one: libcurl takes zero for "no limit".
    private static func milliseconds(_ duration: Duration) -> Int {
        let (seconds, attoseconds) = duration.components
        let clamped = min(max(seconds, 0), 86_400)
        return max(1, Int(clamped) * 1_000 + Int(max(attoseconds, 0) / 1_000_000_000_000_000))
    }
}

private func bytes(
    _ data: UnsafeMutablePointer<CChar>, _ count: Int
) -> UnsafeBufferPointer<UInt8> {
    let start = UnsafeRawPointer(data).assumingMemoryBound(to: UInt8.self)
    return UnsafeBufferPointer(start: start, count: count)
}
