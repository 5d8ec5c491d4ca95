// The simulator's connections to the outside: the console on a pty, commands on stdin, events on stdout.
// Knows nothing of the design.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

// The UART's far side. Bytes sent by the core are kept until the pty takes them; nothing is lost.
class Console {
  public:
    Console();
    ~Console();
    Console(const Console &) = delete;
    Console &operator=(const Console &) = delete;

    const std::string &path() const { return path_; }
    int fd() const { return master_; }

    bool has_input(); // reads what the pty has; never waits
    uint8_t take();   // the oldest received byte; only after has_input()
    void send(uint8_t byte) { output_.push_back(static_cast<char>(byte)); }
    size_t unsent() const { return output_.size(); }
    void flush();   // as much as the pty takes; never waits
    void discard(); // forgets what was received, what was not yet sent, and what the host has not read

  private:
    int master_ = -1;
    int slave_ = -1; // held open: the pty outlives the programs that open and close it
    std::string path_;
    std::deque<uint8_t> input_;
    std::string output_;
};

// Lines from stdin. The end of stdin is the end of the simulator.
class Commands {
  public:
    bool next(std::string *line); // a complete line, if one has arrived; never waits
    bool ended() const { return ended_; }

  private:
    std::string buffer_;
    bool ended_ = false;
};

// Waits until the pty has a byte (or room for unsent ones) or stdin has something; false: time-out.
bool wait_for_host(Console &console, int timeout_ms);

// Writes one line to stdout at once; ends the process when nobody reads any more.
void print_event(const std::string &json);

// Ends this process when its parent dies, even by SIGKILL, whatever happens to stdin.
void die_with_parent();

double wall_seconds();
double cpu_seconds();
