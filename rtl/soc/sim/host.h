// The simulator's connections to the outside: a console, commands, events. Knows nothing of the design.
// Two kinds: a local process (pty, stdin, stdout) and a server (two TCP ports, server.h).
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include <sys/types.h>

// The UART's far side. Bytes sent by the core are kept until the host takes them; nothing is lost.
class Console {
  public:
    virtual ~Console() = default;

    bool has_input(); // reads what the host has sent; never waits
    uint8_t take();   // the oldest received byte; only after has_input()
    void send(uint8_t byte) { output_.push_back(static_cast<char>(byte)); }
    size_t unsent() const { return output_.size(); }
    void flush();               // as much as the host takes; never waits
    virtual void discard() = 0; // forgets what was received, what was not yet sent, and what is under way

  protected:
    // As read(2) and write(2): -1 with EAGAIN where nothing is there, or nobody.
    virtual ssize_t receive(uint8_t *buffer, size_t size) = 0;
    virtual ssize_t transmit(const char *data, size_t size) = 0;

    std::deque<uint8_t> input_;
    std::string output_;
};

// Who started the simulator, or who is connected to it.
class Host {
  public:
    virtual ~Host() = default;

    virtual Console &console() = 0;
    virtual std::string address() const = 0;            // JSON members that say where the console is
    virtual bool next(std::string *line) = 0;           // a complete command, if one has arrived; never waits
    virtual void answer(const std::string &json) = 0;   // a line to whoever sent the last command
    virtual void announce(const std::string &json) = 0; // a line to all
    virtual bool gone() const = 0;                      // the simulator has to end
    virtual void wait() = 0; // until the host sends something, or takes what was not yet sent, or is gone
};

// Lines of text from a stream of bytes.
class Lines {
  public:
    void append(const char *data, size_t size) { buffer_.append(data, size); }
    bool next(std::string *line);
    size_t size() const { return buffer_.size(); }

  private:
    std::string buffer_;
};

// Console on a new pty, commands on stdin, events on stdout. Dies with its parent, even by SIGKILL.
std::unique_ptr<Host> make_local_host();

[[noreturn]] void fail(const std::string &what); // with errno

double wall_seconds();
double cpu_seconds();
