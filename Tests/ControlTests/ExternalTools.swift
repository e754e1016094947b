import Foundation

/// Programs that some tests need. A missing one skips the test on a laptop and fails it in CI.
enum ExternalTools {
    static let isCI = ProcessInfo.processInfo.environment["CI"] != nil

    static let promtool = succeeds("promtool", ["--version"])
    static let prometheusClient = succeeds("python3", ["-c", "import prometheus_client"])

    static var runsPromtool: Bool { promtool || isCI }
    static var runsPrometheusClient: Bool { prometheusClient || isCI }

    private static func succeeds(_ program: String, _ arguments: [String]) -> Bool {
        (try? run(program, arguments, input: Data()))?.code == 0
    }

    /// Runs to the end, with the input from a file, so that no pipe can fill up and block.
    static func run(
        _ program: String, _ arguments: [String], input: Data
    ) throws -> (code: Int32, output: Data) {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("opsd-tool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let inputFile = directory.appendingPathComponent("in")
        let outputFile = directory.appendingPathComponent("out")
        try input.write(to: inputFile)
        try Data().write(to: outputFile)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.standardInput = try FileHandle(forReadingFrom: inputFile)
        let output = try FileHandle(forWritingTo: outputFile)
        process.standardOutput = output
        process.standardError = output
        try process.run()
        process.waitUntilExit()
        return (process.terminationStatus, try Data(contentsOf: outputFile))
    }
}

/// The same numbers in every run, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
