// soc_sim: the verilated SoC as a process. Console on a pty, commands on stdin, one JSON event a line on
// stdout; or, as a server, on two TCP ports. hil/README.md has the contract.
//
// Determinism: simulated time depends on the bytes received and on nothing else of the host. A received byte
// is shown to the core, at its next look, only when it has looked for one, by reading STATUS kPollsBeforeByte
// times with no byte there and without touching DATA in between; if the host has not sent it yet, simulated
// time stands still at that read. So the cycle in which the core sees a byte is the same however slow the
// host is. A core that also reads the timer between its looks waits for time as well as for a byte: then time
// goes on, and the byte is shown when it comes. The same holds while the receive interrupt is enabled. Both
// are exact but not repeatable.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include <unistd.h>

#include "Vsoc_top.h"
#include "Vsoc_top___024root.h"
#include "description.h" // of this build, written by hil/verilate.py
#include "host.h"
#include "server.h"
#include "verilated.h"

// Vsoc_top::eval without its housekeeping, whose locks take a twentieth of the time.
void Vsoc_top___024root___eval(Vsoc_top___024root *root);

namespace {

// More than one, because a core that is about to send reads STATUS too.
constexpr int kPollsBeforeByte = 3;
constexpr uint64_t kChunkCycles = 65536;   // between looks at stdin
constexpr uint64_t kIrqChunkCycles = 1024; // the same while the receive interrupt is enabled
constexpr size_t kMaxUnsent = 65536;       // bytes; the core is held when nobody reads that many
constexpr int kResetCycles = 8;
constexpr int kExitUsage = 2, kExitLimit = 5;
constexpr double kProbeSeconds = 5;

class Simulator {
  public:
    Simulator(VerilatedContext *context, std::unique_ptr<Host> host, uint64_t max_cycles)
        : top_(std::make_unique<Vsoc_top>(context, "soc_top")), host_(std::move(host)),
          console_(host_->console()), max_cycles_(max_cycles), start_(wall_seconds()) {
        top_->uart_rx_i = 1;
        top_->gpio_i = 0;
        reset();
    }

    int run();

  private:
    void reset();
    void cycles(uint64_t count);
    void look_for_byte();
    bool serve_commands(); // false: end
    bool wait_in_sleep();  // false: end
    void print_stats();

    std::unique_ptr<Vsoc_top> top_;
    std::unique_ptr<Host> host_;
    Console &console_;
    uint64_t max_cycles_;
    uint64_t cycle_ = 0;
    int polls_ = 0;           // reads of STATUS that found no byte since DATA was last touched
    bool timer_read_ = false; // the timer was read since the last such read
    bool asleep_ = false;     // the core waits for a byte and nothing else
    bool taken_ = false;      // the byte shown goes at the next edge
    uint64_t bus_errors_ = 0;
    uint32_t first_bus_error_ = 0;
    double start_;
    double idle_seconds_ = 0;
};

void Simulator::reset() {
    top_->rst_ni = 0;
    top_->byte_rx_valid_i = 0;
    top_->byte_rx_data_i = 0;
    for (int i = 0; i < kResetCycles; i++) {
        top_->clk_i = 1;
        top_->eval();
        top_->clk_i = 0;
        top_->eval();
    }
    top_->rst_ni = 1;
    top_->eval();
    polls_ = 0;
    timer_read_ = asleep_ = taken_ = false;
    bus_errors_ = first_bus_error_ = 0;
}

// The core reads STATUS in this cycle and has no byte.
void Simulator::look_for_byte() {
    if (polls_ < kPollsBeforeByte) polls_++;
    const bool time_matters = timer_read_ || top_->byte_rx_irq_enable_o;
    timer_read_ = false;
    if (polls_ < kPollsBeforeByte) return;
    if (console_.has_input()) {
        top_->byte_rx_data_i = console_.take();
        top_->byte_rx_valid_i = 1;
        asleep_ = false;
    } else {
        asleep_ = !time_matters;
    }
}

// Runs until *count* cycles have passed or the core sleeps. A cycle begins behind a rising edge: look at what
// the core does in it, answer, let the answer settle, and end it with the next edge.
void Simulator::cycles(uint64_t count) {
    Vsoc_top &top = *top_;
    for (; count != 0; count--) {
        if (top.byte_rx_status_o && !top.byte_rx_valid_i) {
            look_for_byte();
            if (asleep_) return;
        }
        if (top.byte_rx_take_o) {
            taken_ = true;
            polls_ = 0;
        }
        if (top.byte_tx_valid_o) {
            console_.send(top.byte_tx_data_o);
            polls_ = 0;
        }
        if (top.timer_read_o) timer_read_ = true;
        if (top.fault_o) {
            if (bus_errors_++ == 0) first_bus_error_ = static_cast<uint32_t>(top.fault_adr_o) << 2;
        }
        top.clk_i = 0;
        Vsoc_top___024root___eval(top.rootp);
        top.clk_i = 1;
        Vsoc_top___024root___eval(top.rootp);
        cycle_++;
        if (taken_) {
            taken_ = false;
            top.byte_rx_valid_i = 0;
        }
    }
}

void Simulator::print_stats() {
    char text[256];
    snprintf(text, sizeof text,
             "{\"event\": \"stats\", \"cycles\": %" PRIu64 ", \"seconds\": %.6f, \"cpu_seconds\": %.6f, "
             "\"idle_seconds\": %.6f, \"bus_errors\": %" PRIu64 ", \"first_bus_error\": \"0x%08" PRIx32 "\"}",
             cycle_, wall_seconds() - start_ - idle_seconds_, cpu_seconds(), idle_seconds_, bus_errors_,
             first_bus_error_);
    host_->answer(text);
}

bool Simulator::serve_commands() {
    std::string line;
    while (host_->next(&line)) {
        if (line == "quit") return false;
        if (line == "reset") {
            console_.discard();
            reset();
            host_->answer("{\"event\": \"reset\"}");
        } else if (line == "stats") {
            print_stats();
        } else {
            host_->answer("{\"event\": \"error\", \"what\": \"unknown command; known: reset, stats, quit\"}");
        }
    }
    return !host_->gone();
}

// The core sleeps, or sends more than anybody reads: nothing is simulated until the host does something.
bool Simulator::wait_in_sleep() {
    const double begin = wall_seconds();
    host_->wait();
    idle_seconds_ += wall_seconds() - begin;
    console_.flush();
    return serve_commands();
}

int Simulator::run() {
    for (;;) {
        console_.flush();
        if (!serve_commands()) return 0;
        if (cycle_ >= max_cycles_) {
            host_->announce("{\"event\": \"limit\", \"cycles\": " + std::to_string(cycle_) + "}");
            return kExitLimit;
        }
        if (console_.unsent() > kMaxUnsent || (asleep_ && !console_.has_input())) {
            if (!wait_in_sleep()) return 0;
            continue;
        }
        asleep_ = false;
        const uint64_t chunk = top_->byte_rx_irq_enable_o ? kIrqChunkCycles : kChunkCycles;
        const uint64_t left = max_cycles_ - cycle_;
        cycles(chunk < left ? chunk : left);
        if (top_->byte_rx_irq_enable_o && !top_->byte_rx_valid_i && console_.has_input()) {
            top_->byte_rx_data_i = console_.take();
            top_->byte_rx_valid_i = 1;
        }
    }
}

[[noreturn]] void usage(const std::string &what) {
    fprintf(stderr,
            "soc_sim: %s\n"
            "usage: soc_sim --boot-rom FILE.hex [--max-cycles N]\n"
            "               [--listen HOST:PORT --control HOST:PORT [--linger SECONDS]]\n"
            "       soc_sim --probe HOST:PORT\n",
            what.c_str());
    exit(kExitUsage);
}

struct Options {
    std::string boot_rom;
    uint64_t max_cycles = UINT64_MAX;
    ServerOptions server;
    std::string probe;
};

Options parse(int argc, char **argv) {
    Options options;
    for (int i = 1; i < argc; i++) {
        const std::string option = argv[i];
        if (i + 1 == argc) usage(option + " needs a value, or is no option");
        const char *value = argv[++i];
        char *end = nullptr;
        if (option == "--boot-rom") {
            options.boot_rom = value;
        } else if (option == "--listen") {
            options.server.console = value;
        } else if (option == "--control") {
            options.server.control = value;
        } else if (option == "--probe") {
            options.probe = value;
        } else if (option == "--max-cycles") {
            options.max_cycles = strtoull(value, &end, 10);
            if (end == value || *end != '\0') usage("not a number of cycles: " + std::string(value));
        } else if (option == "--linger") {
            options.server.linger_seconds = strtod(value, &end);
            if (end == value || *end != '\0') usage("not a number of seconds: " + std::string(value));
        } else {
            usage("unknown option " + option);
        }
    }
    return options;
}

} // namespace

int main(int argc, char **argv) {
    Options options = parse(argc, argv);
    if (!options.probe.empty()) return probe(options.probe, kProbeSeconds);
    const std::string &boot_rom = options.boot_rom;
    if (boot_rom.empty()) usage("no boot ROM: without one the core has nothing to run");
    if (access(boot_rom.c_str(), R_OK) != 0) usage("cannot read the boot ROM " + boot_rom);
    const bool serves = !options.server.console.empty();
    if (serves == options.server.control.empty()) usage("--listen and --control go together");
    if (options.server.linger_seconds > 0 && !serves) usage("--linger is of a server");
    options.server.description = SOC_DESCRIPTION;

    std::unique_ptr<Host> host = serves ? make_server(options.server) : make_local_host();
    const std::string plusarg = "+boot_rom=" + boot_rom;
    const char *args[] = {argv[0], plusarg.c_str()};
    VerilatedContext context;
    context.commandArgs(2, args);

    const std::string ready = "{\"event\": \"ready\", " + host->address() + ", " SOC_DESCRIPTION "}";
    Host &opened = *host;
    Simulator simulator(&context, std::move(host), options.max_cycles);
    opened.announce(ready);
    return simulator.run();
}
