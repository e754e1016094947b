internal import CPostgres

#if canImport(Glibc)
    internal import Glibc
#endif

/// One connection of libpq, for one thread. libpq's asynchronous calls are used throughout, and every
/// wait has an end: a server that was stopped keeps its sockets open and says nothing for ever.
final class PostgresLink {
    let connection: OpaquePointer
    /// How long the server may be silent before it counts as gone.
    var patience: Duration
    /// Nothing can be said over it any more.
    private(set) var isBroken = false
    /// Names of prepared statements by their text.
    var prepared: [String: String] = [:]
    /// By dataset, how many batches are not worth an attempt to copy rows straight into the table.
    var copyPauses: [String: (length: Int, left: Int)] = [:]

    init(_ settings: PostgresSettings) throws(PostgresFailure) {
        patience = settings.timeout
        let keywords = settings.keywords()
        let names = keywords.map { strdup($0.0) } + [nil]
        let values = keywords.map { strdup($0.1) } + [nil]
        defer { for pointer in names + values { free(pointer) } }
        let started = PQconnectStartParams(
            names.map { UnsafePointer($0) }, values.map { UnsafePointer($0) }, 0)
        guard let connection = started else {
            throw PostgresFailure(message: "out of memory")
        }
        self.connection = connection
        opsd_ignore_notices(connection)
        // The only way to learn the SQLSTATE of a refused connection.
        _ = PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        try open()
        _ = PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
        _ = PQsetnonblocking(connection, 1)
    }

    deinit { PQfinish(connection) }

    private func open() throws(PostgresFailure) {
        let deadline = ContinuousClock.now + patience
        guard PQstatus(connection) != CONNECTION_BAD else { throw refusal() }
        var state = PGRES_POLLING_WRITING
        while state != PGRES_POLLING_OK {
            if state == PGRES_POLLING_FAILED { throw refusal() }
            let events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard try wait(for: Int16(events), until: deadline) != 0 else {
                throw PostgresFailure(message: "no connection within \(patience)")
            }
            state = PQconnectPoll(connection)
        }
    }

    /// A connection that could not be opened: `FATAL:  28P01: password …` and further lines.
    private func refusal() -> PostgresFailure {
        let text = lastMessage
        for line in text.split(separator: "\n") {
            guard let match = line.firstMatch(of: /(?:FATAL|ERROR): +([0-9A-Z]{5}): (.*)/) else {
                continue
            }
            return PostgresFailure(
                sqlState: String(match.output.1), message: String(match.output.2))
        }
        return PostgresFailure(message: text.isEmpty ? "it cannot be reached" : text)
    }

    private var lastMessage: String {
        String(cString: PQerrorMessage(connection))
            .split(separator: "\n").joined(separator: "; ")
    }

    /// The connection is lost, or was never of use.
    func broken(_ message: String? = nil) -> PostgresFailure {
        isBroken = true
        let text = message ?? lastMessage
        return PostgresFailure(message: text.isEmpty ? "the connection was lost" : text)
    }

    /// The events that came; 0 when none came in time.
    private func wait(
        for events: Int16, until deadline: ContinuousClock.Instant
    ) throws(PostgresFailure) -> Int16 {
        var descriptor = pollfd(fd: PQsocket(connection), events: events, revents: 0)
        guard descriptor.fd >= 0 else { throw broken() }
        while true {
            let left = (deadline - .now).wholeMilliseconds
            if left < 0 { return 0 }
            let count = poll(&descriptor, 1, Int32(clamping: left + 1))
            if count > 0 { return descriptor.revents }
            if count < 0, errno != EINTR {
                throw broken("poll: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Sends what waits to be sent and takes in what has come, until `isDone`.
    func exchange(until isDone: (_ isSent: Bool) -> Bool) throws(PostgresFailure) {
        while true {
            let left = PQflush(connection)
            // The server may have said why before it went.
            if left < 0, PQconsumeInput(connection) == 0 { throw broken() }
            if isDone(left == 0) { return }
            let events = left == 1 ? POLLIN | POLLOUT : POLLIN
            let found = try wait(for: Int16(events), until: .now + patience)
            guard found != 0 else { throw broken("no answer within \(patience)") }
            if Int32(found) & ~POLLOUT != 0, PQconsumeInput(connection) == 0 { throw broken() }
        }
    }

    /// The next result; nil where a statement's results end.
    func next() throws(PostgresFailure) -> PostgresResult? {
        try exchange { _ in PQisBusy(connection) == 0 }
        return PQgetResult(connection).map(PostgresResult.init)
    }

    var isInTransaction: Bool { PQtransactionStatus(connection) != PQTRANS_IDLE }
}
