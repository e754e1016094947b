// What the kernel says of the machine, out of the texts of /proc: values in, values out. A line that
// is not understood is passed over, because kernels add fields and lines.

/// `/proc/stat`: what the processors have spent their time with since the start, all of them together.
enum ProcessorTimes {
    /// In the order of proc(5). Guest times are contained in user and nice, so they are left out.
    static let modes = [
        "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
    ]

    /// Seconds by mode.
    static func parse(_ text: String, ticksPerSecond: Double) -> [(mode: String, seconds: Double)] {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }) else {
            return []
        }
        let numbers = line.split(separator: " ").dropFirst().map { UInt64($0) }
        return zip(modes, numbers).compactMap { mode, ticks in
            ticks.map { (mode, Double($0) / ticksPerSecond) }
        }
    }
}

/// `/proc/loadavg`: runnable and uninterruptible tasks, averaged over 1, 5 and 15 minutes.
enum LoadAverages {
    static func parse(_ text: String) -> [(window: String, load: Double)] {
        let numbers = text.split(whereSeparator: \.isWhitespace).prefix(3).map { Double($0) }
        return zip(["1m", "5m", "15m"], numbers).compactMap { window, load in
            load.map { (window, $0) }
        }
    }
}

/// `/proc/meminfo`: bytes by the kernel's own name.
enum MemoryInformation {
    static func parse(_ text: String) -> [String: UInt64] {
        var values: [String: UInt64] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ":" })
            guard words.count >= 2, let value = UInt64(words[1]) else { continue }
            let isKilobytes = words.count > 2 && words[2] == "kB"
            let (bytes, overflow) = value.multipliedReportingOverflow(by: isKilobytes ? 1_024 : 1)
            if !overflow { values[String(words[0])] = bytes }
        }
        return values
    }
}

/// `/proc/diskstats`: bytes read and written since the start, of whole devices.
struct DiskTraffic: Equatable {
    let device: String
    let readBytes: UInt64
    let writtenBytes: UInt64

    /// The kernel counts sectors of this size here, whatever the device's own are.
    private static let sectorBytes: UInt64 = 512

    /// - Parameter devices: those that are whole; the others are parts of them, and would be
    ///   counted twice in a sum. Nil: all.
    static func parse(_ text: String, devices: Set<String>?) -> [DiskTraffic] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 10, devices?.contains(String(words[2])) ?? true,
                let read = UInt64(words[5]), let written = UInt64(words[9])
            else { return nil }
            return DiskTraffic(
                device: String(words[2]), readBytes: read &* sectorBytes,
                writtenBytes: written &* sectorBytes)
        }
    }
}

/// `/proc/net/dev`: bytes of each network interface since the start.
struct NetworkTraffic: Equatable {
    let interface: String
    let receivedBytes: UInt64
    let sentBytes: UInt64

    /// The first number may stand right behind the colon.
    static func parse(_ text: String) -> [NetworkTraffic] {
        text.split(separator: "\n").compactMap { line in
            guard let colon = line.lastIndex(of: ":") else { return nil }
            let name = line[..<colon].drop { $0 == " " }
            let words = line[line.index(after: colon)...].split(separator: " ")
            guard words.count >= 16, let received = UInt64(words[0]), let sent = UInt64(words[8])
            else { return nil }
            return NetworkTraffic(
                interface: String(name), receivedBytes: received, sentBytes: sent)
        }
    }
}

/// `/proc/mounts`: what is mounted where.
struct Mount: Equatable {
    let source: String
    let path: String
    let type: String

    /// File systems on disks of this machine. An overlay is one only as the root of a container: the
    /// others are the containers' own roots, seen from outside.
    private var isLocal: Bool {
        switch type {
        case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "vfat", "exfat":
            true
        case "overlay": path == "/"
        default: false
        }
    }

    static func parse(_ text: String) -> [Mount] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 3 else { return nil }
            return Mount(
                source: unescaped(words[0]), path: unescaped(words[1]), type: String(words[2]))
        }
    }

    /// File systems that lie on this machine's disks, each once, and the one that holds `path`
    /// whatever it is. A file server that is gone would hold up whoever asks for its size.
    static func worthShowing(_ mounts: [Mount], holding path: String) -> [Mount] {
        let own = mounts.filter { $0.holds(path) }
            // Of two at one place the later one lies over the other.
            .reduce(nil as Mount?) { best, next in
                best.map { $0.path.utf8.count > next.path.utf8.count } == true ? best : next
            }
        var shown = own.map { [$0] } ?? []
        for mount in mounts where mount.isLocal {
            // The same device at a second place is the same room.
            let isShown = shown.contains { $0.source == mount.source || $0.path == mount.path }
            if !isShown { shown.append(mount) }
        }
        return shown
    }

    private func holds(_ file: String) -> Bool {
        path == "/" || path == file || file.hasPrefix(path + "/")
    }

    /// Blanks and the like stand as three octal digits: `\040`.
    private static func unescaped(_ word: Substring) -> String {
        guard word.contains("\\") else { return String(word) }
        var bytes: [UInt8] = []
        var rest = Array(word.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
