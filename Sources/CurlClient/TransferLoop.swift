import CCurl
import Foundation
import Synchronization

/// The thread that owns libcurl's multi handle: take what is queued, perform, read what has ended,
/// wait for sockets or a wake-up.
///
/// `@unchecked Sendable`: the multi handle, the handles and the active transfers belong to the
/// thread alone; other threads touch only the inbox, under its lock, and `curl_multi_wakeup`, which
/// libcurl declares safe from any thread and which is called only under that lock while the loop is
/// open (so never on a handle already freed).
final class TransferLoop: @unchecked Sendable {
    let configuration: CurlConfiguration

    private struct Inbox {
        var starting: [Transfer] = []
        var cancelling: [Transfer] = []
        var isStopping = false
        var hasEnded = false
        var whenEnded: [@Sendable () -> Void] = []
    }

    /// A lock and not an actor, because the thread that takes from it is not a task.
    private let inbox = Mutex(Inbox())
    private let multi: UnsafeMutableRawPointer?
    private var active: [ObjectIdentifier: Transfer] = [:]
    private var idleHandles: [UnsafeMutableRawPointer] = []
    private static let idleHandlesMax = 256
    private static let isLibraryReady = curl_global_init(3) == CURLE_OK  // CURL_GLOBAL_ALL

    init(configuration: CurlConfiguration) {
        self.configuration = configuration
        multi = Self.isLibraryReady ? curl_multi_init() : nil
        guard let multi else { return }
        opsd_multi_set_long(
            multi, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.connectionsPerHostMax)
        opsd_multi_set_long(multi, CURLMOPT_MAXCONNECTS, configuration.idleConnectionsMax)
        opsd_multi_set_long(multi, CURLMOPT_PIPELINING, 0)
    }

    func startThread() {
        let thread = Thread { self.run() }
        thread.name = "opsd-curl"
        thread.start()
    }

    // MARK: From any thread

    func start(_ transfer: Transfer) {
        let isAccepted = inbox.withLock { inbox in
            guard !inbox.isStopping else { return false }
            inbox.starting.append(transfer)
            // A queue that was not empty has already woken the thread.
            if inbox.starting.count == 1 { wake() }
            return true
        }
        if !isAccepted { transfer.fail(.shutDown, .notSent, "the client is shut down") }
    }

    func cancel(_ transfer: Transfer) {
        transfer.isCancelled.store(true, ordering: .releasing)
        inbox.withLock { inbox in
            guard !inbox.isStopping else { return }
            inbox.cancelling.append(transfer)
            wake()
        }
    }

    func stop(_ whenEnded: @escaping @Sendable () -> Void = {}) {
        let hasEnded = inbox.withLock { inbox in
            guard !inbox.hasEnded else { return true }
            inbox.isStopping = true
            inbox.whenEnded.append(whenEnded)
            wake()
            return false
        }
        if hasEnded { whenEnded() }
    }

    /// Only under the inbox's lock.
    private func wake() {
        if let multi { curl_multi_wakeup(multi) }
    }

    // MARK: On the thread

    private func run() {
        // Without memory for a multi handle there is no client: whoever asks is told so.
        if multi == nil { inbox.withLock { $0.isStopping = true } }
        while takeInbox() {
            guard let multi else { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            readMessages()
            curl_multi_poll(multi, nil, 0, 1_000, nil)
        }
        end()
    }

    /// False when the loop is to end.
    private func takeInbox() -> Bool {
        let (starting, cancelling, isStopping) = inbox.withLock { inbox in
            let taken = (inbox.starting, inbox.cancelling, inbox.isStopping)
            inbox.starting = []
            inbox.cancelling = []
            return taken
        }
        for transfer in starting { begin(transfer) }
        for transfer in cancelling where active[ObjectIdentifier(transfer)] != nil {
            abort(transfer, .cancelled, "cancelled")
        }
        return !isStopping
    }

    private func begin(_ transfer: Transfer) {
        // A cancellation that came before the start finds nothing to abort: seen here instead.
        guard !transfer.isCancelled.load(ordering: .acquiring) else {
            return transfer.fail(.cancelled, .notSent, "cancelled")
        }
        guard let multi, let easy = idleHandles.popLast() ?? curl_easy_init() else {
            return transfer.fail(.outOfResources, .notSent, "libcurl could not be set up")
        }
        transfer.configure(easy, configuration)
        guard curl_multi_add_handle(multi, easy) == CURLM_OK else {
            recycle(transfer)
            return transfer.fail(.outOfResources, .notSent, "libcurl refused the transfer")
        }
        active[ObjectIdentifier(transfer)] = transfer
    }

    private func readMessages() {
        guard let multi else { return }
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else {
                continue
            }
            // The message is gone once its handle is removed: read it first.
            let code = opsd_message_result(message)
            var context: UnsafeMutableRawPointer?
            opsd_easy_get_pointer(easy, CURLINFO_PRIVATE, &context)
            guard let context else { continue }
            let transfer = Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
            let result = Outcome.result(of: transfer, easy: easy, code: code)
            remove(transfer, multi)
            transfer.finish(result)
        }
    }

    private func abort(_ transfer: Transfer, _ reason: CurlError.Reason, _ detail: String) {
        guard let multi, let easy = transfer.easy else { return }
        let delivery = Outcome.delivery(of: easy)
        remove(transfer, multi)
        transfer.fail(reason, delivery, detail)
    }

    private func remove(_ transfer: Transfer, _ multi: UnsafeMutableRawPointer) {
        if let easy = transfer.easy { curl_multi_remove_handle(multi, easy) }
        active[ObjectIdentifier(transfer)] = nil
        recycle(transfer)
    }

    private func recycle(_ transfer: Transfer) {
        guard let easy = transfer.release() else { return }
        if idleHandles.count < Self.idleHandlesMax {
            idleHandles.append(easy)
        } else {
            curl_easy_cleanup(easy)
        }
    }

    private func failAll(_ detail: String) {
        for transfer in active.values { abort(transfer, .shutDown, detail) }
    }

    private func end() {
        failAll("the client was shut down")
        for easy in idleHandles { curl_easy_cleanup(easy) }
        idleHandles = []
        let callbacks = inbox.withLock { inbox in
            // Under the lock: nobody may wake a handle that is gone.
            if let multi { curl_multi_cleanup(multi) }
            inbox.hasEnded = true
            defer { inbox.whenEnded = [] }
            return inbox.whenEnded
        }
        for callback in callbacks { callback() }
    }
}
