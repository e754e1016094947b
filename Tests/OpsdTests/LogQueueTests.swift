import Foundation
import Synchronization
import TestSupport
import Testing

@testable import opsd

@Suite struct LogQueueTests {
    /// Nobody reads for a while: whoever logs goes on, and the log says what it lacks.
    @Test func aReaderThatSleepsHoldsNobodyUp() throws {
        let pipe = Pipe()
        let queue = LogQueue(
            descriptor: pipe.fileHandleForWriting.fileDescriptor, bytesMax: 100_000)
        let dropped = Mutex(0)
        queue.countDrops { count in dropped.withLock { $0 += count } }
        let start = ContinuousClock.now
        for number in 0..<10_000 {
            queue.add("line \(number) " + String(repeating: "x", count: 90) + "\n")
        }
        #expect(start.duration(to: .now) < .seconds(5))
        #expect(!queue.flush(within: .milliseconds(20)))
        let lost = dropped.withLock { $0 }
        #expect(lost > 7_000 && lost < 10_000)
        let reader = Reader(pipe.fileHandleForReading)
        #expect(queue.flush(within: .seconds(10)))
        queue.add("the last line\n")
        #expect(queue.flush(within: .seconds(10)))
        try pipe.fileHandleForWriting.close()
        let lines = reader.text().split(separator: "\n")
        #expect(lines.first?.hasPrefix("line 0 ") == true)
        #expect(lines.last == "the last line")
        // The writer may have taken a part before it met the full pipe, so there may be two gaps.
        let notes = lines.filter { $0.hasPrefix("… ") }
        let said = notes.compactMap {
            $0.split(separator: " ").dropFirst().first.flatMap { Int($0) }
        }
        #expect(said.reduce(0, +) == lost && (1...2).contains(notes.count))
        #expect(lines.count == 10_000 - lost + notes.count + 1)
        #expect(dropped.withLock { $0 } == lost)
    }

    @Test func aReaderThatIsGoneIsCounted() throws {
        signal(SIGPIPE, SIG_IGN)
        let pipe = Pipe()
        try pipe.fileHandleForReading.close()
        let queue = LogQueue(descriptor: pipe.fileHandleForWriting.fileDescriptor)
        let dropped = Mutex(0)
        queue.countDrops { count in dropped.withLock { $0 += count } }
        queue.add("nobody reads this\n")
        #expect(queue.flush(within: .seconds(5)))
        #expect(dropped.withLock { $0 } == 1)
    }

    /// Reads to the end on a thread of its own.
    private final class Reader: Sendable {
        /// A lock: the thread puts the text here, the test takes it.
        private let content = Mutex("")
        private let group = DispatchGroup()

        init(_ file: FileHandle) {
            let descriptor = dup(file.fileDescriptor)
            DispatchQueue.global().async(group: group) { [self] in
                let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
                let text = String(decoding: file.readAll(), as: UTF8.self)
                content.withLock { $0 = text }
            }
        }

        func text() -> String {
            group.wait()
            return content.withLock { $0 }
        }
    }
}
