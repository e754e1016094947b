public import Foundation

extension FileHandle {
    /// What is there now, or comes next; empty at the end. Foundation's own way ends the process when a
    /// signal interrupts it.
    public func readSome() -> Data { someBytes(from: fileDescriptor) }

    /// Everything up to the end.
    public func readAll() -> Data {
        var all = Data()
        while true {
            let some = readSome()
            if some.isEmpty { return all }
            all += some
        }
    }
}

private func someBytes(from descriptor: Int32) -> Data {
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(descriptor, &bytes, bytes.count)
        if count < 0, errno == EINTR { continue }
        return Data(bytes.prefix(max(0, count)))
    }
}
