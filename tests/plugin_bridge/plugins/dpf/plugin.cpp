// The VST3 plug-ins of the tests, built with Debian's dpf-source: a gain that can also crash, hang, eat
// memory or give back NaN, as its parameter "Fault" says, and a synthesiser of plain sines.
#include "DistrhoPlugin.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

START_NAMESPACE_DISTRHO

#ifdef INSTRUMENT

class SineSynth : public Plugin {
    float level = 0.5f;
    float phase[128] = {};
    float gain[128] = {};

public:
    SineSynth() : Plugin(1, 0, 0) {}

protected:
    const char *getLabel() const override { return "SineSynth"; }
    const char *getMaker() const override { return "Stembridge"; }
    const char *getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('S', 'b', 'S', 'y'); }

    void initParameter(uint32_t, Parameter &parameter) override {
        parameter.name = "Level";
        parameter.symbol = "level";
        parameter.ranges.def = 0.5f;
        parameter.ranges.min = 0.0f;
        parameter.ranges.max = 1.0f;
    }
    float getParameterValue(uint32_t) const override { return level; }
    void setParameterValue(uint32_t, float value) override { level = value; }

    // Hosts try notes while they load a plug-in; nothing of them may sound later.
    void activate() override {
        std::memset(phase, 0, sizeof(phase));
        std::memset(gain, 0, sizeof(gain));
    }

    void run(const float **, float **outputs, uint32_t frames, const MidiEvent *events, uint32_t count) override {
        uint32_t next = 0;
        for (uint32_t frame = 0; frame < frames; ++frame) {
            for (; next < count && events[next].frame <= frame; ++next) {
                const uint8_t *data = events[next].data;
                const uint8_t kind = data[0] & 0xF0;
                if (kind == 0x90 && data[2] > 0) {
                    gain[data[1]] = data[2] / 127.0f;
                    phase[data[1]] = 0.0f;
                } else if (kind == 0x80 || kind == 0x90) {
                    gain[data[1]] = 0.0f;
                }
            }
            float sum = 0.0f;
            for (int note = 0; note < 128; ++note) {
                if (gain[note] == 0.0f)
                    continue;
                sum += gain[note] * std::sin(2.0 * M_PI * phase[note]);
                phase[note] += 440.0 * std::pow(2.0, (note - 69) / 12.0) / getSampleRate();
                phase[note] -= std::floor(phase[note]);
            }
            outputs[0][frame] = outputs[1][frame] = level * sum;
        }
    }
};

Plugin *createPlugin() { return new SineSynth(); }

#else

class FaultyGain : public Plugin {
    float gain = 1.0f;
    float fault = 0.0f;
    std::vector<char *> eaten;

public:
    FaultyGain() : Plugin(2, 0, 0) {}

protected:
    const char *getLabel() const override { return "FaultyGain"; }
    const char *getMaker() const override { return "Stembridge"; }
    const char *getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('S', 'b', 'F', 'g') + EFFECT_CHANNELS; }

    void initParameter(uint32_t index, Parameter &parameter) override {
        parameter.name = index == 0 ? "Gain" : "Fault";
        parameter.symbol = index == 0 ? "gain" : "fault";
        parameter.ranges.def = index == 0 ? 1.0f : 0.0f;
        parameter.ranges.min = 0.0f;
        parameter.ranges.max = 4.0f;
        parameter.hints = kParameterIsAutomatable;
    }
    float getParameterValue(uint32_t index) const override { return index == 0 ? gain : fault; }
    void setParameterValue(uint32_t index, float value) override { (index == 0 ? gain : fault) = value; }

    void run(const float **inputs, float **outputs, uint32_t frames) override {
        // Not with what hosts try while they load and set up a plug-in: that is silence.
        bool sounds = false;
        for (uint32_t frame = 0; frame < frames; ++frame)
            sounds = sounds || inputs[0][frame] != 0.0f;
        const int what = sounds ? int(fault + 0.5f) : 0;
        if (what == 1)
            std::abort();
        while (what == 2) {
            volatile int forever = 0;
            (void)forever;
        }
        while (what == 3) {
            const size_t bytes = 16 << 20;
            eaten.push_back(new char[bytes]);
            std::memset(eaten.back(), 1, bytes);
        }
        for (uint32_t channel = 0; channel < EFFECT_CHANNELS; ++channel)
            for (uint32_t frame = 0; frame < frames; ++frame)
                outputs[channel][frame] = what == 4 ? NAN : gain * inputs[channel][frame];
    }
};

Plugin *createPlugin() { return new FaultyGain(); }

#endif

END_NAMESPACE_DISTRHO
