internal import Foundation

/// A thread of its own for one actor whose calls block, as those of C libraries do: the cooperative
/// pool stays free.
///
///     actor Connection {
///         private let thread = ThreadExecutor(name: "redis")
///         nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
///     }
///
/// `@unchecked Sendable`: the lock (a condition) guards the jobs; it is held to put one down or to take
/// all of them up.
public final class ThreadExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private let condition = NSCondition()
    private var jobs: [UnownedJob] = []
    private var isStopped = false
    /// The thread is gone: who brings a job runs it, and what is brought meanwhile.
    private var hasEnded = false
    private var isRunByCaller = false

    /// - Parameter name: as `ps -T` shows it, cut after 15 bytes.
    public init(name: String) {
        // The thread holds the executor until `stop`.
        let thread = Thread { self.work() }
        thread.name = name
        thread.stackSize = 512 * 1_024
        thread.start()
    }

    /// Ends the thread when it has done what it was given. What comes later is run where it comes from,
    /// still one at a time: nothing may wait for ever, and nothing that blocks comes after a close.
    public func stop() {
        condition.withLock {
            isStopped = true
            condition.signal()
        }
    }

    public func enqueue(_ job: UnownedJob) {
        let mustRun = condition.withLock {
            jobs.append(job)
            if !hasEnded {
                condition.signal()
                return false
            }
            defer { isRunByCaller = true }
            return !isRunByCaller
        }
        while mustRun {
            let brought = condition.withLock {
                if jobs.isEmpty { isRunByCaller = false }
                defer { jobs = [] }
                return jobs
            }
            if brought.isEmpty { return }
            for job in brought { run(job) }
        }
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        enqueue(UnownedJob(job))
    }

    private func work() {
        while let jobs = next() {
            for job in jobs { run(job) }
        }
    }

    private func run(_ job: UnownedJob) {
        job.runSynchronously(
            isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
    }

    private func next() -> [UnownedJob]? {
        condition.withLock {
            while jobs.isEmpty {
                if isStopped {
                    hasEnded = true
                    return nil
                }
                condition.wait()
            }
            defer { jobs = [] }
            return jobs
        }
    }
}
