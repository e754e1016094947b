internal import Glibc

/// Makes a TCP connection and closes it. It waits on the calling thread: never on the pool.
enum ConnectProbe {
    static func run(host: String, port: Int, timeout: Duration) -> ProbeOutcome {
        let name = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else { return unresolved(name, code) }
        defer { freeaddrinfo(list) }
        let deadline = ContinuousClock.now + timeout
        var last = ProbeOutcome.failure("\(name): the name has no address")
        var next = list
        while let address = next {
            last = connect(to: address.pointee, name, deadline)
            if case .success = last { return last }
            next = address.pointee.ai_next
        }
        return last
    }

    /// A name that does not resolve is an answer about the thing; a resolver that is out of memory
    /// or files is not.
    private static func unresolved(_ name: String, _ code: Int32) -> ProbeOutcome {
        let text = "\(name): \(String(cString: gai_strerror(code)))"
        return code == EAI_MEMORY || code == EAI_SYSTEM ? .unknown(text) : .failure(text)
    }

    private static func connect(
        to address: addrinfo, _ name: String, _ deadline: ContinuousClock.Instant
    ) -> ProbeOutcome {
        let type = address.ai_socktype | Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.ai_family, type, address.ai_protocol)
        guard descriptor >= 0 else {
            return errno == EAFNOSUPPORT
                ? .failure("\(name): no such kind of address here")
                : .unknown("\(name): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        if Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 {
            return .success("\(name) accepts connections")
        }
        guard errno == EINPROGRESS else { return ProbeError.outcome(name, code: errno) }
        guard PollWait.forWriting(descriptor, until: deadline) else {
            return .failure("\(name): no answer in time")
        }
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size)
        return error == 0
            ? .success("\(name) accepts connections") : ProbeError.outcome(name, code: error)
    }
}

/// poll(2) until a moment, however often a signal interrupts it.
enum PollWait {
    static func forWriting(_ descriptor: Int32, until deadline: ContinuousClock.Instant) -> Bool {
        var polled = [pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)]
        return wait(&polled, until: deadline)
    }

    /// Whether any of them is ready.
    static func wait(_ polled: inout [pollfd], until deadline: ContinuousClock.Instant) -> Bool {
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return false }
            // Rounded up, so that the last millisecond is not spent in a busy loop.
            let milliseconds = min(left / .milliseconds(1) + 1, 60_000)
            if poll(&polled, nfds_t(polled.count), Int32(milliseconds)) > 0 { return true }
        }
    }
}
