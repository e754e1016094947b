import Foundation

struct BenchError: Error, CustomStringConvertible {
    let description: String
}

/// A program of this machine, run to its end; its standard output.
func output(of program: String, _ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw BenchError(description: "\(program) ended with \(process.terminationStatus)")
    }
    return String(decoding: data, as: UTF8.self)
}

/// Requests a second of a server under wrk, away from the pools that serve it.
func wrk(_ arguments: [String]) async throws -> Double {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            do {
                let text = try output(of: "wrk", arguments)
                if text.contains("Non-2xx") { throw BenchError(description: text) }
                let line = text.split(separator: "\n").first { $0.hasPrefix("Requests/sec:") }
                guard let rate = line?.split(separator: " ").last.flatMap({ Double($0) }) else {
                    throw BenchError(description: text)
                }
                continuation.resume(returning: rate)
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// The time within which 99 of 100 requests of a server under wrk were answered, and 90, in milliseconds.
func wrkLatency(_ arguments: [String]) async throws -> (p90: Double, p99: Double) {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            do {
                let text = try output(of: "wrk", ["--latency"] + arguments)
                if text.contains("Non-2xx") { throw BenchError(description: text) }
                func percentile(_ name: String) throws -> Double {
                    let line = text.split(separator: "\n").first {
                        $0.drop { $0 == " " }.hasPrefix(name)
                    }
                    guard let word = line?.split(separator: " ").last else {
                        throw BenchError(description: text)
                    }
                    for (unit, milliseconds) in [("us", 0.001), ("ms", 1), ("s", 1_000)] {
                        guard word.hasSuffix(unit), let number = Double(word.dropLast(unit.count))
                        else { continue }
                        return number * milliseconds
                    }
                    throw BenchError(description: text)
                }
                continuation.resume(returning: (try percentile("90%"), try percentile("99%")))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// A directory that is gone when the work is done.
func withScratch<Result>(_ name: String, _ body: (String) async throws -> Result) async throws
    -> Result
{
    let path = FileManager.default.temporaryDirectory.path + "/opsd-bench-\(getpid())-\(name)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    // What others left unwritten, a build above all, is not to be written while flushes are timed.
    sync()
    return try await body(path)
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
}

func percentile(_ sorted: [Int64], _ share: Double) -> Double {
    guard !sorted.isEmpty else { return 0 }
    return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))])
}

extension Duration {
    var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
