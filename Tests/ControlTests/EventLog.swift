import Control
import Foundation
import Synchronization

/// What a supervisor reported, and a way to wait for it.
final class EventLog: Sendable {
    struct TimedOut: Error {
        let waitedFor: String
        let events: [ServiceEvent]
    }

    private struct Waiter {
        let id: UUID
        let isMet: @Sendable ([ServiceEvent]) -> Bool
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var events: [ServiceEvent] = []
        var waiters: [Waiter] = []
    }

    /// A lock, because the supervisor's callback is synchronous.
    private let state = Mutex(State())

    var events: [ServiceEvent] { state.withLock { $0.events } }

    func record(_ event: ServiceEvent) {
        let met = state.withLock { state in
            state.events.append(event)
            let met = state.waiters.filter { $0.isMet(state.events) }
            state.waiters.removeAll { waiter in met.contains { $0.id == waiter.id } }
            return met.map(\.continuation)
        }
        for continuation in met { continuation.resume(returning: true) }
    }

    func wait(
        for what: String, deadline: Duration = .seconds(20),
        until isMet: @escaping @Sendable ([ServiceEvent]) -> Bool
    ) async throws {
        let id = UUID()
        let timer = Task {
            try await Task.sleep(for: deadline)
            let late = state.withLock { state in
                let late = state.waiters.filter { $0.id == id }
                state.waiters.removeAll { $0.id == id }
                return late.map(\.continuation)
            }
            for continuation in late { continuation.resume(returning: false) }
        }
        defer { timer.cancel() }
        let isDone = await withCheckedContinuation { continuation in
            let isMetAlready = state.withLock { state in
                if isMet(state.events) { return true }
                state.waiters.append(Waiter(id: id, isMet: isMet, continuation: continuation))
                return false
            }
            if isMetAlready { continuation.resume(returning: true) }
        }
        guard isDone else { throw TimedOut(waitedFor: what, events: events) }
    }

    /// The service's `count`th event of that kind.
    func wait(
        for service: ServiceName, count: Int = 1,
        _ kind: @escaping @Sendable (ServiceEvent.Kind) -> Bool
    ) async throws {
        try await wait(for: "\(service), \(count)") { events in
            events.count { $0.service == service && kind($0.kind) } >= count
        }
    }

    func pids(_ service: ServiceName) -> [Int32] {
        events.compactMap { event in
            guard event.service == service, case .started(let pid) = event.kind else { return nil }
            return pid
        }
    }

    func pauses(_ service: ServiceName) -> [Duration] {
        events.compactMap { event in
            guard event.service == service, case .backingOff(let pause) = event.kind else {
                return nil
            }
            return pause
        }
    }

    func exits(_ service: ServiceName) -> [ProcessExit] {
        events.compactMap { event in
            guard event.service == service, case .exited(let exit, _) = event.kind else {
                return nil
            }
            return exit
        }
    }
}

extension ServiceEvent.Kind {
    var isStarted: Bool { if case .started = self { true } else { false } }
    var isExited: Bool { if case .exited = self { true } else { false } }
    var isBackingOff: Bool { if case .backingOff = self { true } else { false } }
    var isFailed: Bool { if case .failed = self { true } else { false } }
    var isAdopted: Bool { if case .adopted = self { true } else { false } }
}
