/// Something that is wanted for as long as a request is being answered, such as a place among concurrent requests.
package protocol RequestCompanion: AnyObject {
    /// Told once, on the request's loop: the last byte of the response was handed to the connection, the connection has
    /// become a WebSocket, or whoever asked has left and the handler has ended.
    func requestEnded()
}
