// Proof that a gate-level netlist (ASCII AIGER) of the fusion unit's ports computes the sum of products, for
// all inputs.
//
// fusion_proof NETLIST [MODE ...], MODE: activation bits, weight bits, activations signed, weights signed, as
// "8 4 1 0".
//
// With the mode's inputs set to constants, every gate becomes a binary decision diagram over the 64 data
// inputs. So does the specification, sum over k of act_k * wgt_k in 18 bits, added here product by product
// and not as the unit does. Reduced ordered diagrams are canonical: a bit is proved equal when both diagrams
// are one node, and a bit that differs gives a counterexample. With the elements' bits side by side in the
// order, a level has about as many nodes as there are partial sums. Data inputs outside the mode's elements
// are variables too, so that they are proved to be ignored.
//
// One line a mode: "MODE equal NODES" or "MODE differs BIT ACT WGT". Exits with 1 where a mode differs, 2 on
// bad input.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kSumBits = 18;

[[noreturn]] void die(const std::string &what) {
    std::fprintf(stderr, "fusion_proof: %s\n", what.c_str());
    std::exit(2);
}

// Diagrams with complemented edges: an edge is node << 1 | complement, and a node's high edge is never
// complemented.
using Edge = uint32_t;
constexpr Edge kTrue = 0, kFalse = 1;

class Diagrams {
  public:
    Diagrams() : unique_(1 << 20, 0), cache_(1 << 21) { nodes_.push_back({UINT32_MAX, 0, 0}); }

    Edge variable(uint32_t level) { return make(level, kFalse, kTrue); }

    Edge both(Edge f, Edge g) {
        if (f == kFalse || g == kFalse || f == (g ^ 1)) return kFalse;
        if (f == kTrue || f == g) return g;
        if (g == kTrue) return f;
        return apply(f, g, 0);
    }

    Edge differ(Edge f, Edge g) {
        const Edge complement = (f ^ g) & 1;
        f &= ~1u;
        g &= ~1u;
        if (f == g) return kFalse ^ complement;
        if (f == kTrue) return g ^ 1 ^ complement;
        if (g == kTrue) return f ^ 1 ^ complement;
        return apply(f, g, 1) ^ complement;
    }

    Edge majority(Edge a, Edge b, Edge c) { return both(both(a, b) ^ 1, both(c, differ(a, b)) ^ 1) ^ 1; }

    // The levels that are 1 in one assignment that makes f true.
    std::vector<uint32_t> witness(Edge f) const {
        std::vector<uint32_t> ones;
        while (f > 1) {
            const Node &node = nodes_[f >> 1];
            const Edge high = node.high ^ (f & 1);
            if (high != kFalse) ones.push_back(node.level);
            f = high != kFalse ? high : node.low ^ (f & 1);
        }
        return ones;
    }

    size_t size() const { return nodes_.size(); }

  private:
    struct Node {
        uint32_t level;
        Edge low, high;
    };
    struct Entry {
        Edge f = 0, g = 0; // f is never a constant: 0 is an empty entry
        uint32_t operation = 0;
        Edge result = 0;
    };

    static size_t mix(uint64_t a, uint64_t b, uint64_t c) {
        uint64_t x = (a * 0x9E3779B97F4A7C15u) ^ (b * 0xC2B2AE3D27D4EB4Fu) ^ (c * 0x165667B19E3779F9u);
        x ^= x >> 29;
        x *= 0xBF58476D1CE4E5B9u;
        return static_cast<size_t>(x ^ (x >> 32));
    }

    Edge make(uint32_t level, Edge low, Edge high) {
        if (low == high) return low;
        const Edge complement = high & 1;
        low ^= complement;
        high ^= complement;
        if (nodes_.size() * 2 > unique_.size()) grow();
        size_t slot = mix(level, low, high) & (unique_.size() - 1);
        for (; unique_[slot] != 0; slot = (slot + 1) & (unique_.size() - 1)) {
            const Node &node = nodes_[unique_[slot]];
            if (node.level == level && node.low == low && node.high == high)
                return unique_[slot] << 1 | complement;
        }
        if (nodes_.size() >= 1u << 30) die("more than 2^30 nodes");
        unique_[slot] = static_cast<uint32_t>(nodes_.size());
        nodes_.push_back({level, low, high});
        return unique_[slot] << 1 | complement;
    }

    void grow() {
        std::vector<uint32_t> larger(unique_.size() * 2, 0);
        for (uint32_t index = 1; index < nodes_.size(); index++) {
            const Node &node = nodes_[index];
            size_t slot = mix(node.level, node.low, node.high) & (larger.size() - 1);
            while (larger[slot] != 0) slot = (slot + 1) & (larger.size() - 1);
            larger[slot] = index;
        }
        unique_.swap(larger);
    }

    Edge apply(Edge f, Edge g, uint32_t operation) {
        if (f > g) std::swap(f, g);
        const size_t slot = mix(f, g, operation) & (cache_.size() - 1);
        const Entry &found = cache_[slot];
        if (found.f == f && found.g == g && found.operation == operation && f != 0) return found.result;
        const Node first = nodes_[f >> 1], second = nodes_[g >> 1];
        const uint32_t level = first.level < second.level ? first.level : second.level;
        Edge f0 = f, f1 = f, g0 = g, g1 = g;
        if (first.level == level) f0 = first.low ^ (f & 1), f1 = first.high ^ (f & 1);
        if (second.level == level) g0 = second.low ^ (g & 1), g1 = second.high ^ (g & 1);
        const Edge low = operation == 0 ? both(f0, g0) : differ(f0, g0);
        const Edge high = operation == 0 ? both(f1, g1) : differ(f1, g1);
        const Edge result = make(level, low, high);
        cache_[slot] = {f, g, operation, result};
        return result;
    }

    std::vector<Node> nodes_;
    std::vector<uint32_t> unique_;
    std::vector<Entry> cache_;
};

// And-inverter graph. A literal is node << 1 | complement, node 0 is false; inputs come first, gates in
// topological order.
struct Netlist {
    struct Gate {
        uint32_t left, right;
    };
    uint32_t inputs = 0;
    std::vector<Gate> gates;
    std::map<std::string, uint32_t> input, output; // by name as "act_i[3]": literals
};

Netlist read_netlist(const char *path) {
    std::ifstream file(path);
    std::string magic, line;
    uint32_t maximum = 0, latches = 0, outputs = 0, gates = 0;
    Netlist netlist;
    file >> magic >> maximum >> netlist.inputs >> latches >> outputs >> gates;
    if (!file || magic != "aag" || latches != 0 || maximum != netlist.inputs + gates)
        die("not a combinational .aag");
    std::vector<uint32_t> input_literals(netlist.inputs), output_literals(outputs);
    for (uint32_t &literal : input_literals) file >> literal;
    for (uint32_t &literal : output_literals) file >> literal;
    for (uint32_t index = 0; index < gates; index++) {
        uint32_t result = 0;
        Netlist::Gate gate{};
        file >> result >> gate.left >> gate.right;
        if (result != (netlist.inputs + 1 + index) * 2 || gate.left >= result || gate.right >= result)
            die("gates unsorted");
        netlist.gates.push_back(gate);
    }
    std::getline(file, line);
    while (std::getline(file, line) && line != "c") {
        std::istringstream words(line.substr(1));
        size_t index = 0;
        std::string name;
        words >> index >> name;
        if (line[0] == 'i' && index < input_literals.size()) netlist.input[name] = input_literals[index];
        if (line[0] == 'o' && index < output_literals.size()) netlist.output[name] = output_literals[index];
    }
    return netlist;
}

struct Mode {
    int act_bits, wgt_bits;
    bool act_signed, wgt_signed;
};

std::string bit_name(const char *port, int index) {
    return std::string(port) + "[" + std::to_string(index) + "]";
}

int lsb_of_weight(const Mode &mode, int k) {
    const int columns = 8 / mode.act_bits, rows = 8 / mode.wgt_bits;
    return mode.wgt_bits * (k % columns * rows + k / columns);
}

// Levels of act_i (0..31) and wgt_i (32..63): element by element, the narrower operand's bits first.
std::vector<uint32_t> order(const Mode &mode) {
    std::vector<uint32_t> level(64, UINT32_MAX);
    uint32_t next = 0;
    for (int k = 0; k < 64 / (mode.act_bits * mode.wgt_bits); k++) {
        const auto weight = [&] {
            for (int bit = 0; bit < mode.wgt_bits; bit++) level[32 + lsb_of_weight(mode, k) + bit] = next++;
        };
        if (mode.wgt_bits <= mode.act_bits) weight();
        for (int bit = 0; bit < mode.act_bits; bit++) level[k * mode.act_bits + bit] = next++;
        if (mode.wgt_bits > mode.act_bits) weight();
    }
    for (uint32_t &entry : level) {
        if (entry == UINT32_MAX) entry = next++;
    }
    return level;
}

// sum += value << shift, or -= where negative, modulo 2^18.
void accumulate(Diagrams &d, std::vector<Edge> &sum, const std::vector<Edge> &value, int shift,
                bool negative) {
    Edge carry = negative ? kTrue : kFalse;
    for (int bit = 0; bit < kSumBits; bit++) {
        const int from = bit - shift;
        const bool inside = from >= 0 && from < static_cast<int>(value.size());
        const Edge term = (inside ? value[from] : kFalse) ^ (negative ? 1 : 0);
        const Edge total = d.differ(d.differ(sum[bit], term), carry);
        carry = d.majority(sum[bit], term, carry);
        sum[bit] = total;
    }
}

std::vector<Edge> specification(Diagrams &d, const Mode &mode, const std::vector<Edge> &act,
                                const std::vector<Edge> &wgt) {
    std::vector<Edge> sum(kSumBits, kFalse);
    for (int k = 0; k < 64 / (mode.act_bits * mode.wgt_bits); k++) {
        for (int i = 0; i < mode.act_bits; i++) {
            std::vector<Edge> row; // bit i of the activation times the weight
            for (int j = 0; j < mode.wgt_bits; j++) {
                row.push_back(d.both(act[k * mode.act_bits + i], wgt[lsb_of_weight(mode, k) + j]));
            }
            const bool act_negative = mode.act_signed && i == mode.act_bits - 1;
            const Edge top = row.back();
            if (mode.wgt_signed) row.pop_back();
            accumulate(d, sum, row, i, act_negative);
            if (mode.wgt_signed) accumulate(d, sum, {top}, i + mode.wgt_bits - 1, !act_negative);
        }
    }
    return sum;
}

// Diagrams of the outputs. Gates that the constants settle, and what only they use, are never built.
std::vector<Edge> evaluate(Diagrams &d, const Netlist &netlist, const std::vector<Edge> &inputs) {
    const size_t count = netlist.inputs + 1 + netlist.gates.size();
    std::vector<uint8_t> known(count, 2); // 0, 1, or 2: not a constant
    known[0] = 0;
    for (uint32_t node = 1; node <= netlist.inputs; node++) {
        if (inputs[node] <= 1) known[node] = inputs[node] == kTrue;
    }
    const auto value = [&](uint32_t literal) -> int {
        return known[literal >> 1] == 2 ? 2 : known[literal >> 1] ^ (literal & 1);
    };
    const auto gate_of = [&](size_t node) { return netlist.gates[node - netlist.inputs - 1]; };
    for (size_t node = netlist.inputs + 1; node < count; node++) {
        const int left = value(gate_of(node).left), right = value(gate_of(node).right);
        if (left == 0 || right == 0) known[node] = 0;
        if (left == 1 && right == 1) known[node] = 1;
    }
    std::vector<bool> needed(count, false);
    std::vector<uint32_t> outputs(kSumBits);
    for (int bit = 0; bit < kSumBits; bit++) {
        outputs[bit] = netlist.output.at(bit_name("sum_o", bit));
        needed[outputs[bit] >> 1] = true;
    }
    for (size_t node = count - 1; node > netlist.inputs; node--) {
        if (!needed[node] || known[node] != 2) continue;
        needed[gate_of(node).left >> 1] = true;
        needed[gate_of(node).right >> 1] = true;
    }
    std::vector<Edge> edge(count, kFalse);
    for (size_t node = 1; node < count; node++) {
        if (known[node] != 2) {
            edge[node] = known[node] ? kTrue : kFalse;
        } else if (node <= netlist.inputs) {
            edge[node] = inputs[node];
        } else if (needed[node]) {
            const Netlist::Gate gate = gate_of(node);
            edge[node] =
                d.both(edge[gate.left >> 1] ^ (gate.left & 1), edge[gate.right >> 1] ^ (gate.right & 1));
        }
    }
    std::vector<Edge> sum;
    for (const uint32_t literal : outputs) sum.push_back(edge[literal >> 1] ^ (literal & 1));
    return sum;
}

bool prove(const Netlist &netlist, const Mode &mode) {
    Diagrams d;
    const std::vector<uint32_t> level = order(mode);
    std::vector<Edge> act, wgt, inputs(netlist.inputs + 1, kFalse);
    const auto connect = [&](const std::string &name, Edge edge) {
        inputs[netlist.input.at(name) >> 1] = edge;
    };
    const auto constant = [&](const std::string &name, int value) { connect(name, value ? kTrue : kFalse); };
    for (int bit = 0; bit < 32; bit++) {
        act.push_back(d.variable(level[bit]));
        wgt.push_back(d.variable(level[32 + bit]));
        connect(bit_name("act_i", bit), act.back());
        connect(bit_name("wgt_i", bit), wgt.back());
    }
    for (int bit = 0; bit < 2; bit++) {
        constant(bit_name("act_mode_i", bit), mode.act_bits >> (bit + 2) & 1); // 2, 4, 8: 0, 1, 2
        constant(bit_name("wgt_mode_i", bit), mode.wgt_bits >> (bit + 2) & 1);
    }
    constant("act_signed_i", mode.act_signed);
    constant("wgt_signed_i", mode.wgt_signed);
    const std::vector<Edge> expected = specification(d, mode, act, wgt), sum = evaluate(d, netlist, inputs);
    std::printf("%d %d %d %d ", mode.act_bits, mode.wgt_bits, mode.act_signed, mode.wgt_signed);
    for (int bit = 0; bit < kSumBits; bit++) {
        if (sum[bit] == expected[bit]) continue;
        uint32_t word[2] = {0, 0};
        for (const uint32_t one : d.witness(d.differ(sum[bit], expected[bit]))) {
            for (int index = 0; index < 64; index++) {
                if (level[index] == one) word[index / 32] |= 1u << (index % 32);
            }
        }
        std::printf("differs %d %08x %08x\n", bit, word[0], word[1]);
        return false;
    }
    std::printf("equal %zu\n", d.size());
    std::fflush(stdout);
    return true;
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) die("no netlist");
    const Netlist netlist = read_netlist(argv[1]);
    std::vector<Mode> modes;
    for (int index = 2; index < argc; index++) {
        int act_bits = 0, wgt_bits = 0, act_signed = 0, wgt_signed = 0;
        if (std::sscanf(argv[index], "%d %d %d %d", &act_bits, &wgt_bits, &act_signed, &wgt_signed) != 4)
            die("bad mode");
        modes.push_back({act_bits, wgt_bits, act_signed != 0, wgt_signed != 0});
    }
    bool equal = true;
    for (const Mode &mode : modes) equal = prove(netlist, mode) && equal;
    return equal ? 0 : 1;
}
