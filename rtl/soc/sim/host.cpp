#include "host.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

namespace {

pid_t parent_at_start;

// Linux sends the signal already when the parent's *thread* that started us ends: look whether the parent is
// gone.
void on_parent_signal(int) {
    if (getppid() != parent_at_start) _exit(0);
}

void die_with_parent() {
    parent_at_start = getppid();
    struct sigaction action = {};
    action.sa_handler = on_parent_signal;
    sigaction(SIGUSR2, &action, nullptr);
    if (prctl(PR_SET_PDEATHSIG, SIGUSR2) != 0) fail("prctl");
    signal(SIGPIPE, SIG_IGN);
}

class Pty : public Console {
  public:
    Pty();
    ~Pty() override;
    Pty(const Pty &) = delete;
    Pty &operator=(const Pty &) = delete;

    const std::string &path() const { return path_; }
    int fd() const { return master_; }
    void discard() override;

  protected:
    ssize_t receive(uint8_t *buffer, size_t size) override { return read(master_, buffer, size); }
    ssize_t transmit(const char *data, size_t size) override { return write(master_, data, size); }

  private:
    int master_ = -1;
    int slave_ = -1; // held open: the pty outlives the programs that open and close it
    std::string path_;
};

Pty::Pty() {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) fail("cannot open a pty");
    char name[128];
    if (ptsname_r(master_, name, sizeof name) != 0) fail("cannot name the pty");
    path_ = name;
    slave_ = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave_ < 0) fail(name);
    termios settings;
    if (tcgetattr(slave_, &settings) != 0) fail("tcgetattr");
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    if (tcsetattr(slave_, TCSANOW, &settings) != 0) fail("tcsetattr");
}

Pty::~Pty() {
    close(slave_);
    close(master_);
}

void Pty::discard() {
    output_.clear();
    // Twice: what was written a moment ago may still be on its way through the kernel.
    for (int i = 0; i < 2; i++) {
        tcflush(slave_, TCIOFLUSH);
        while (has_input()) input_.clear();
        usleep(2000);
    }
}

class LocalHost : public Host {
  public:
    LocalHost() { die_with_parent(); }

    Console &console() override { return pty_; }
    std::string address() const override { return "\"pty\": \"" + pty_.path() + "\""; }
    bool next(std::string *line) override;
    void answer(const std::string &json) override { announce(json); }
    void announce(const std::string &json) override {
        if (printf("%s\n", json.c_str()) < 0 || fflush(stdout) != 0) exit(0); // nobody reads any more
    }
    bool gone() const override { return ended_; }
    void wait() override;

  private:
    Pty pty_;
    Lines lines_;
    bool ended_ = false;
};

bool LocalHost::next(std::string *line) {
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    while (!lines_.next(line)) {
        if (ended_ || poll(&in, 1, 0) <= 0) return false;
        char chunk[512];
        const ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n > 0) lines_.append(chunk, static_cast<size_t>(n));
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) ended_ = true;
    }
    return true;
}

void LocalHost::wait() {
    const short events = static_cast<short>(POLLIN | (pty_.unsent() ? POLLOUT : 0));
    pollfd fds[2] = {{pty_.fd(), events, 0}, {STDIN_FILENO, POLLIN, 0}};
    poll(fds, 2, -1);
}

} // namespace

bool Console::has_input() {
    if (!input_.empty()) return true;
    uint8_t buffer[4096];
    const ssize_t n = receive(buffer, sizeof buffer);
    if (n > 0) input_.insert(input_.end(), buffer, buffer + n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) fail("console");
    return !input_.empty();
}

uint8_t Console::take() {
    const uint8_t byte = input_.front();
    input_.pop_front();
    return byte;
}

void Console::flush() {
    while (!output_.empty()) {
        const ssize_t n = transmit(output_.data(), output_.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) fail("console");
        output_.erase(0, static_cast<size_t>(n));
    }
}

bool Lines::next(std::string *line) {
    const size_t end = buffer_.find('\n');
    if (end == std::string::npos) return false;
    *line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return true;
}

std::unique_ptr<Host> make_local_host() {
    return std::make_unique<LocalHost>();
}

void fail(const std::string &what) {
    fprintf(stderr, "soc_sim: %s: %s\n", what.c_str(), strerror(errno));
    exit(3);
}

double wall_seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double cpu_seconds() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
