import Foundation

/// A small file system in memory, which fills up; mounting takes root. It is gone with the object.
public final class SmallDisk: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public let path: String

    public init(megabytes: Int, at path: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try Self.run("mount", ["-t", "tmpfs", "-o", "size=\(megabytes)m", "tmpfs", path])
    }

    deinit {
        // Lazily: who still has a file open there keeps it until he is done.
        try? Self.run("umount", ["--lazy", path])
    }

    /// Writes until not one byte more fits.
    public func fill() throws {
        let file = path + "/filler"
        try Data().write(to: URL(filePath: file))
        guard let handle = FileHandle(forWritingAtPath: file) else {
            throw Failure(description: "\(file) cannot be written")
        }
        defer { try? handle.close() }
        for size in [1_000_000, 4_096] {
            while (try? handle.write(contentsOf: Data(count: size))) != nil {}
        }
    }

    /// Leaves so many bytes free, after `fill`.
    public func leave(bytes: UInt64) throws {
        let file = path + "/filler"
        guard let handle = FileHandle(forWritingAtPath: file) else {
            throw Failure(description: "\(file) cannot be written")
        }
        defer { try? handle.close() }
        let size = try handle.seekToEnd()
        try handle.truncate(atOffset: size - min(size, bytes))
    }

    public func makeRoom() throws {
        try FileManager.default.removeItem(atPath: path + "/filler")
    }

    public static var canBeMade: Bool { geteuid() == 0 }

    private static func run(_ program: String, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [program] + arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(description: "\(program) \(arguments) failed")
        }
    }
}
