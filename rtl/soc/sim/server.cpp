#include "server.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr size_t kMaxInput = 65536; // bytes of the console that are taken before the core wants them
constexpr size_t kMaxLine = 4096;   // a command is far shorter
constexpr size_t kMaxOwners = 64;   // connections to the second port
constexpr int kExitUsage = 2, kExitNoAnswer = 3;

// Splits HOST:PORT and resolves it; numeric or a name, IPv4.
addrinfo *resolve(const std::string &address, bool passive) {
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
        fprintf(stderr, "soc_sim: not HOST:PORT: %s\n", address.c_str());
        exit(kExitUsage);
    }
    addrinfo hints = {};
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = passive ? AI_PASSIVE : 0;
    addrinfo *found = nullptr;
    const int error =
        getaddrinfo(address.substr(0, colon).c_str(), address.c_str() + colon + 1, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "soc_sim: %s: %s\n", address.c_str(), gai_strerror(error));
        exit(kExitUsage);
    }
    return found;
}

class Socket {
  public:
    explicit Socket(int fd = -1) : fd_(fd) {}
    ~Socket() { close(); }
    Socket(Socket &&other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Socket &operator=(Socket &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }

    int fd() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

  private:
    int fd_;
};

class Listener {
  public:
    explicit Listener(const std::string &address) {
        addrinfo *found = resolve(address, true);
        socket_ = Socket(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        const int on = 1;
        setsockopt(socket_.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(socket_.fd(), found->ai_addr, found->ai_addrlen) != 0 || listen(socket_.fd(), 16) != 0)
            fail(address);
        freeaddrinfo(found);
        sockaddr_in bound = {};
        socklen_t size = sizeof bound;
        getsockname(socket_.fd(), reinterpret_cast<sockaddr *>(&bound), &size);
        address_ = address.substr(0, address.rfind(':') + 1) + std::to_string(ntohs(bound.sin_port));
    }

    int fd() const { return socket_.fd(); }
    const std::string &address() const { return address_; }

    // The next connection that waits; not open where none does.
    Socket next() {
        Socket taken(accept4(socket_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!taken.is_open()) return taken;
        const int on = 1, idle = 10, interval = 5, count = 3; // a host that lost its power is noticed
        setsockopt(taken.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(taken.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(taken.fd(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(taken.fd(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
        setsockopt(taken.fd(), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
        return taken;
    }

  private:
    Socket socket_;
    std::string address_;
};

class SocketConsole : public Console {
  public:
    explicit SocketConsole(const std::string &address) : listener_(address) {}

    const Listener &listener() const { return listener_; }
    const Socket &peer() const { return peer_; }
    bool full() const { return input_.size() >= kMaxInput; }

    void discard() override {
        output_.clear();
        do input_.clear();
        while (has_input());
    }

    void hang_up() {
        peer_.close();
        while (listener_.next().is_open()) continue; // they had connected before
        discard();
    }

    // Takes what waits at the port: a connection, or bytes of the one there is.
    void serve() {
        if (peer_.is_open() && !full()) take_in(); // it may have ended
        for (Socket next = listener_.next(); next.is_open(); next = listener_.next())
            if (!peer_.is_open()) peer_ = std::move(next);
    }

  protected:
    ssize_t receive(uint8_t *buffer, size_t size) override {
        if (!peer_.is_open()) return nobody();
        const ssize_t n = recv(peer_.fd(), buffer, size, 0);
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? n : left();
    }
    ssize_t transmit(const char *data, size_t size) override {
        if (!peer_.is_open()) return nobody();
        const ssize_t n = ::send(peer_.fd(), data, size, MSG_NOSIGNAL);
        return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? n : left();
    }

  private:
    static ssize_t nobody() {
        errno = EAGAIN;
        return -1;
    }
    ssize_t left() {
        peer_.close();
        return nobody();
    }
    void take_in() {
        uint8_t buffer[4096];
        const ssize_t n = receive(buffer, sizeof buffer);
        if (n > 0) input_.insert(input_.end(), buffer, buffer + n);
    }

    Listener listener_;
    Socket peer_;
};

struct Owner {
    Socket socket;
    Lines lines;
    bool has_worked = false; // sent more than `ready`, as a probe does
};

class Server : public Host {
  public:
    explicit Server(const ServerOptions &options)
        : console_(options.console), control_(options.control), linger_(options.linger_seconds),
          owned_until_(wall_seconds()) {
        ready_ = "{\"event\": \"ready\", " + address() + ", " + options.description + "}";
        signal(SIGPIPE, SIG_IGN);
    }

    Console &console() override { return console_; }
    std::string address() const override {
        return "\"console\": \"" + console_.listener().address() + "\", \"control\": \"" +
               control_.address() + "\"";
    }
    bool next(std::string *line) override;
    void answer(const std::string &json) override { tell(owners_[asked_], json); }
    void announce(const std::string &json) override;
    bool gone() const override { return abandoned_; }
    void wait() override;

  private:
    bool is_owned() const;
    void serve();
    void read_from(Owner &owner);
    static void tell(Owner &owner, const std::string &json);

    SocketConsole console_;
    Listener control_;
    std::vector<Owner> owners_;
    size_t asked_ = 0; // the owner who sent the last command
    std::string ready_;
    double linger_;
    double owned_until_;
    bool abandoned_ = false;
};

bool Server::is_owned() const {
    for (const Owner &owner : owners_)
        if (owner.has_worked) return true;
    return false;
}

// An answer is a line: a peer that does not even take that is dropped.
void Server::tell(Owner &owner, const std::string &json) {
    const std::string line = json + "\n";
    if (send(owner.socket.fd(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size()))
        owner.socket.close();
}

void Server::announce(const std::string &json) {
    printf("%s\n", json.c_str()); // the log
    fflush(stdout);
    for (Owner &owner : owners_) tell(owner, json);
}

void Server::read_from(Owner &owner) {
    char chunk[512];
    const ssize_t n = recv(owner.socket.fd(), chunk, sizeof chunk, 0);
    if (n > 0) owner.lines.append(chunk, static_cast<size_t>(n));
    const bool ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    if (ended || owner.lines.size() > kMaxLine) owner.socket.close();
}

void Server::serve() {
    const double now = wall_seconds();
    if (is_owned()) owned_until_ = now; // before it is seen that the last owner has left
    console_.serve();
    for (Socket next = control_.next(); next.is_open(); next = control_.next()) {
        if (owners_.size() >= kMaxOwners) continue;
        owners_.push_back({std::move(next), {}, false});
    }
    for (size_t i = owners_.size(); i-- > 0;) {
        if (owners_[i].socket.is_open()) read_from(owners_[i]);
        if (!owners_[i].socket.is_open()) owners_.erase(owners_.begin() + static_cast<ptrdiff_t>(i));
    }
    if (linger_ > 0 && !is_owned() && now - owned_until_ > linger_ && !abandoned_) {
        abandoned_ = true;
        announce("{\"event\": \"abandoned\", \"seconds\": " + std::to_string(linger_) + "}");
    }
}

bool Server::next(std::string *line) {
    serve();
    for (asked_ = 0; asked_ < owners_.size(); asked_++) {
        Owner &owner = owners_[asked_];
        while (owner.lines.next(line)) {
            if (*line == "ready") {
                tell(owner, ready_);
                continue;
            }
            owner.has_worked = true;
            if (*line != "hangup") return true;
            console_.hang_up();
            tell(owner, "{\"event\": \"hangup\"}");
        }
    }
    return false;
}

void Server::wait() {
    std::vector<pollfd> fds = {{console_.listener().fd(), POLLIN, 0}, {control_.fd(), POLLIN, 0}};
    for (const Owner &owner : owners_) fds.push_back({owner.socket.fd(), POLLIN, 0});
    const short events =
        static_cast<short>((console_.full() ? 0 : POLLIN) | (console_.unsent() ? POLLOUT : 0));
    if (console_.peer().is_open()) fds.push_back({console_.peer().fd(), events, 0});
    const double left = is_owned() ? linger_ : owned_until_ + linger_ - wall_seconds();
    const int timeout_ms = linger_ > 0 ? static_cast<int>(1000 * (left > 0 ? left : 0)) + 1 : -1;
    poll(fds.data(), fds.size(), timeout_ms);
}

} // namespace

std::unique_ptr<Host> make_server(const ServerOptions &options) {
    // As the first process of a container it has no default handlers.
    for (const int number : {SIGTERM, SIGINT}) signal(number, [](int) { _exit(0); });
    return std::make_unique<Server>(options);
}

int probe(const std::string &control, double timeout_seconds) {
    addrinfo *found = resolve(control, false);
    Socket peer(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(peer.fd(), found->ai_addr, found->ai_addrlen) != 0) fail(control);
    freeaddrinfo(found);
    if (send(peer.fd(), "ready\n", 6, MSG_NOSIGNAL) != 6) fail(control);
    const double deadline = wall_seconds() + timeout_seconds;
    std::string text;
    while (text.find('\n') == std::string::npos) {
        pollfd in = {peer.fd(), POLLIN, 0};
        const double left = deadline - wall_seconds();
        char chunk[512];
        const ssize_t n = left > 0 && poll(&in, 1, static_cast<int>(1000 * left)) > 0
                              ? recv(peer.fd(), chunk, sizeof chunk, 0)
                              : 0;
        if (n <= 0) {
            fprintf(stderr, "soc_sim: %s: no ready event within %g s\n", control.c_str(), timeout_seconds);
            return kExitNoAnswer;
        }
        text.append(chunk, static_cast<size_t>(n));
    }
    printf("%s", text.c_str());
    return 0;
}
