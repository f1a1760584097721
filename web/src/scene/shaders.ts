/** The sphere, the sky behind it and the stars, in GLSL ES 3. Light and air as in native/picture. */

/** Light beyond the screen's range is bent back into it, then encoded as sRGB with a little noise. */
const SCREEN = /* glsl */ `
float noise() {
  return (fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715)))) - 0.5) / 255.0;
}
vec3 onScreen(vec3 light) {
  vec3 over = max(light - 0.7, 0.0) / 0.3;
  light = min(max(light, 0.0), 0.7) + 0.3 * over / (1.0 + over);
  // The sRGB curve by roots, within 0.003; pow is slow where no graphics card is.
  vec3 r2 = sqrt(light);
  vec3 r4 = sqrt(r2);
  vec3 r8 = sqrt(r4);
  vec3 shown = max(0.662002687 * r2 + 0.684122060 * r4 - 0.323583601 * r8 - 0.0225411470 * light, 0.0);
  return shown + noise();
}
`;

export const sphereVertex = /* glsl */ `
uniform mat4 projectionMatrix;
uniform mat4 modelViewMatrix;
uniform mat3 uFaces[20];
uniform float uSwell;
in vec3 position;
in float face;
flat out int vFace;
flat out vec3 vApex;
flat out vec3 vP;
flat out vec3 vQ;
out vec3 vPosition;
void main() {
  vFace = int(face + 0.5);
  mat3 rows = uFaces[vFace];
  vApex = rows[0];
  vP = rows[1];
  vQ = rows[2];
  vPosition = position * uSwell;
  gl_Position = projectionMatrix * modelViewMatrix * vec4(vPosition, 1.0);
}
`;

/** With GLOW defined it draws the light that cells give themselves, alone. */
export const sphereFragment = /* glsl */ `
precision highp float;
precision highp int;
precision highp usampler2DArray;
precision highp sampler2D;

uniform usampler2DArray uCells;
uniform sampler2D uChanges;
uniform sampler2D uPalette;
uniform uvec4 uPoles;
uniform int uFrequency;
uniform int uKindCount;
uniform int uPointed;
uniform int uTaps;
uniform float uNow;
uniform float uFade;
uniform float uLimb;
uniform vec3 uEye;
uniform vec3 uSun;
uniform float uHaze;

flat in int vFace;
flat in vec3 vApex;
flat in vec3 vP;
flat in vec3 vQ;
in vec3 vPosition;
out vec4 fragment;

${SCREEN}

struct Material { vec3 albedo; vec3 glow; float shine; };

// The cell at a lattice point of this triangle (weights of apex, P and Q): column, row and layer of the
// texture, layers 10 and 11 for the poles. See resolve() in topology.ts.
ivec3 placeOf(ivec3 weights) {
  int f = uFrequency;
  int d = vFace >> 1;
  bool lower = (vFace & 1) == 1;
  int i = clamp(lower ? f - weights.z : weights.y, 0, f);
  int j = clamp(lower ? f - weights.y : weights.z, 0, f);
  if (i >= 1 && j < f) return ivec3(j, i - 1, d);
  int k = d < 5 ? d : d - 5;
  int next = k == 4 ? 0 : k + 1;
  if (d < 5) {
    if (i == 0) return j == 0 ? ivec3(0, 0, 10) : ivec3(0, j - 1, next);
    return ivec3(0, i - 1, 5 + k);
  }
  if (i == 0) return j == f ? ivec3(0, f - 1, 5 + next) : ivec3(j, f - 1, next);
  return i == f ? ivec3(0, 0, 11) : ivec3(i, f - 1, 5 + next);
}

int idOf(ivec3 place) {
  int f = uFrequency;
  return place.z < 10 ? (place.z * f + place.y) * f + place.x : 10 * f * f + place.z - 10;
}

float unit(int id) {
  uint x = uint(id) + 0x9e3779b9u;
  x = (x ^ x >> 16) * 0x21f0aaadu;
  x = (x ^ x >> 15) * 0x735a2d97u;
  return float((x ^ x >> 15) & 0xffffu) / 65536.0;
}

void look(uvec2 cell, out vec4 matter, out vec4 light) {
  int row = 2 * min(int(cell.x), uKindCount);
  matter = texelFetch(uPalette, ivec2(int(cell.y), row), 0);
  light = texelFetch(uPalette, ivec2(int(cell.y), row + 1), 0);
}

Material materialOf(ivec3 place) {
  uvec4 cell;
  float age = 1.0;
  if (place.z < 10) {
    cell = texelFetch(uCells, place, 0);
    if (uFade > 0.0 && cell.xy != cell.zw) {
      age = clamp((uNow - texelFetch(uChanges, place.zy, 0).r) / uFade, 0.0, 1.0);
    }
  } else {
    cell = place.z == 10 ? uPoles : uPoles.zwxy;
  }
  vec4 matter;
  vec4 light;
  look(cell.xy, matter, light);
  if (age < 1.0) {
    vec4 oldMatter;
    vec4 oldLight;
    look(cell.zw, oldMatter, oldLight);
    matter = mix(oldMatter, matter, age);
    light = mix(oldLight, light, age);
  }
  if (matter.a > 0.0) matter.rgb *= 1.0 + matter.a * (2.0 * unit(idOf(place)) - 1.0);
  return Material(matter.rgb, light.rgb, light.a);
}

// The nearest lattice point is found by rounding all three and mending the one that was furthest off.
vec3 nearestTo(vec3 exact) {
  vec3 whole = floor(exact + 0.5);
  vec3 far = abs(exact - whole);
  float miss = whole.x + whole.y + whole.z - float(uFrequency);
  if (far.x >= far.y && far.x >= far.z) whole.x -= miss;
  else if (far.y >= far.z) whole.y -= miss;
  else whole.z -= miss;
  return whole;
}

void main() {
  vec3 normal = normalize(vPosition);
  vec3 weights = vec3(dot(vApex, normal), dot(vP, normal), dot(vQ, normal));
  vec3 exact = weights / (weights.x + weights.y + weights.z) * float(uFrequency);
  vec3 across = dFdx(exact);
  vec3 along = dFdy(exact);
  vec3 whole = nearestTo(exact);
  vec3 off = exact - whole;
  ivec3 nearest = ivec3(whole);

  // The cell beyond the nearest edge: one step from the least to the greatest of the three.
  ivec3 up = off.x >= off.y && off.x >= off.z ? ivec3(1, 0, 0) : off.y >= off.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1);
  ivec3 down = off.x <= off.y && off.x <= off.z ? ivec3(1, 0, 0) : off.y <= off.z ? ivec3(0, 1, 0) : ivec3(0, 0, 1);
  vec3 edge = vec3(up - down);
  float border = clamp(dot(off, edge), 0.0, 1.0);
  // How much of that measure a pixel spans; from a cell's centre to the next it is 2.
  float span = max(length(vec2(dot(across, edge), dot(along, edge))), 1e-6);
  float width = 2.0 / span;

  ivec3 place = placeOf(nearest);
  Material m = materialOf(place);
  if (uTaps > 1 && width < 3.0) {
    // Several cells share a pixel.
    vec2 spots[3] = vec2[3](vec2(0.375, 0.125), vec2(-0.125, 0.375), vec2(-0.25, -0.375));
    for (int n = 0; n < 3; n++) {
      vec3 spot = exact + across * spots[n].x + along * spots[n].y;
      Material other = materialOf(placeOf(ivec3(nearestTo(spot))));
      m.albedo += other.albedo;
      m.glow += other.glow;
      m.shine += other.shine;
    }
    m.albedo *= 0.25;
    m.glow *= 0.25;
    m.shine *= 0.25;
  } else {
    float beyond = clamp(0.5 - (1.0 - border) / span, 0.0, 0.5);
    if (beyond > 0.0 && up != down) {
      Material n = materialOf(placeOf(nearest + up - down));
      m.albedo = mix(m.albedo, n.albedo, beyond);
      m.glow = mix(m.glow, n.glow, beyond);
      m.shine = mix(m.shine, n.shine, beyond);
    }
  }

  vec3 view = normalize(uEye - vPosition);
  float z = clamp(dot(normal, view), 0.0, 1.0);
#ifdef GLOW
  fragment = vec4(m.glow * z, 1.0);
#else
  // Borders are drawn on cells wide enough to bear them.
  float visible = smoothstep(8.0, 22.0, width);
  float shown = 1.0;
  if (visible > 0.0) {
    float thick = clamp(0.02 * width, 0.6, 2.5);
    float line = 1.0 - smoothstep(0.4 * thick, 1.6 * thick, (1.0 - border) * 0.5 * width);
    shown -= visible * (0.34 * line + 0.12 * border * border * border * border);
  }

  float sun = dot(normal, uSun);
  // Light wraps a little around the terminator, as it does where there is air.
  float wrapped = max((sun + 0.22) / 1.22, 0.0);
  float day = wrapped * sqrt(wrapped);
  vec3 ambient = vec3(0.057, 0.076, 0.117) * (0.55 + 0.45 * z);
  vec3 sunlight = mix(vec3(1.42, 1.07, 0.79), vec3(1.42, 1.37, 1.28), smoothstep(-0.05, 0.5, sun));
  vec3 light = m.albedo * shown * (sunlight * day + ambient);
  if (m.shine > 0.0) {
    float mirror = dot(normal, normalize(uSun + view));
    // The 24th power is nothing below.
    if (mirror > 0.8) {
      float m2 = mirror * mirror;
      float m8 = m2 * m2 * m2 * m2;
      float m24 = m8 * m8 * m8;
      light += vec3(0.86, 0.96, 1.0) * m.shine * (0.16 * pow(m24, 7.5) + 0.03 * m24);
    }
  }
  light += m.glow * (1.0 + 0.35 * visible * (0.5 - border * border)) * (0.4 + 0.6 * shown);

  // Air between the world and the viewer: a thin veil, dense at the limb.
  float veil = (1.0 - z) * (1.0 - z) * (1.0 - z) * uHaze;
  vec3 air = vec3(0.20, 0.43, 0.92) * (0.02 + 0.98 * smoothstep(-0.35, 0.75, sun));
  float pierce = min(m.glow.r, 1.0) * 0.75;
  light = light * (1.0 - 0.5 * veil) + air * ((0.55 * veil + 0.012) * (1.0 - pierce));

  if (uPointed >= 0 && idOf(place) == uPointed) {
    float ring = smoothstep(1.0 - clamp(7.0 / width, 0.18, 0.5), 1.0, border);
    light = mix(light, vec3(0.95, 0.98, 1.0), 0.10 + 0.75 * ring);
  }
  // The mesh reaches a little beyond the limb, so that the limb can be drawn smooth.
  float r = length(vPosition) * sqrt(1.0 - z * z);
  fragment = vec4(onScreen(light), clamp(0.5 + (1.0 - r) * uLimb, 0.0, 1.0));
#endif
}
`;

export const screenVertex = /* glsl */ `
in vec3 position;
out vec2 vPlace;
void main() {
  vPlace = position.xy;
  gl_Position = vec4(position.xy, 0.0, 1.0);
}
`;

export const skyFragment = /* glsl */ `
precision highp float;
uniform vec3 uEye;
uniform vec3 uSun;
uniform vec3 uRight;
uniform vec3 uUp;
uniform vec3 uAhead;
uniform float uAir;
uniform float uHidden;
in vec2 vPlace;
out vec4 fragment;
${SCREEN}
void main() {
  vec3 ray = uAhead + uRight * vPlace.x + uUp * vPlace.y;
  vec3 nearest = uEye - ray * (dot(uEye, ray) / dot(ray, ray));
  float r = length(nearest);
  if (r < uHidden) {
    fragment = vec4(0.0, 0.0, 0.0, 1.0);
    return;
  }
  float facing = dot(nearest, uSun) / r;
  // Most of the sky is beyond the air, so it is given as it is shown.
  vec3 shown = mix(vec3(0.015, 0.019, 0.042), vec3(0.035, 0.051, 0.108), smoothstep(-1.6, 1.6, facing * min(r, 2.0)));
  float height = max(r - 1.0, 0.0) / uAir;
  // Without a globe there is no air either.
  if (uHidden > 0.0 && height < 16.0) {
    float lit = 0.07 + 0.93 * smoothstep(-0.55, 0.9, facing);
    float thick = 0.5 * exp(-1.7 * height) + 0.035 * exp(-0.30 * height) - 0.0003;
    shown = max(shown, onScreen(shown * shown + vec3(0.1441, 0.4233, 1.0) * lit * thick));
  } else {
    shown += noise();
  }
  fragment = vec4(shown, 1.0);
}
`;

export const starVertex = /* glsl */ `
uniform mat4 projectionMatrix;
uniform mat4 viewMatrix;
uniform float uScale;
in vec3 position;
in vec4 tint;
out vec4 vTint;
void main() {
  vTint = tint;
  gl_PointSize = uScale * tint.a;
  // Stars are infinitely far away: they turn with the view and do not move.
  vec4 place = projectionMatrix * vec4(mat3(viewMatrix) * position, 1.0);
  gl_Position = vec4(place.xy, 0.0, place.w);
}
`;

export const starFragment = /* glsl */ `
precision highp float;
in vec4 vTint;
out vec4 fragment;
void main() {
  vec2 d = gl_PointCoord * 2.0 - 1.0;
  fragment = vec4(vTint.rgb * exp(-4.0 * dot(d, d)), 1.0);
}
`;

/** Along one direction; the picture is small, so nine samples reach far. */
export const blurFragment = /* glsl */ `
precision highp float;
uniform sampler2D uImage;
uniform vec2 uStep;
in vec2 vPlace;
out vec4 fragment;
void main() {
  vec2 at = vPlace * 0.5 + 0.5;
  vec3 sum = texture(uImage, at).rgb * 0.2270;
  sum += (texture(uImage, at + 1.3846 * uStep).rgb + texture(uImage, at - 1.3846 * uStep).rgb) * 0.3162;
  sum += (texture(uImage, at + 3.2308 * uStep).rgb + texture(uImage, at - 3.2308 * uStep).rgb) * 0.0703;
  fragment = vec4(sum, 1.0);
}
`;

/** Added to the picture as it is shown, hence the root: it lifts the dark and hardly touches the bright. */
export const haloFragment = /* glsl */ `
precision highp float;
uniform sampler2D uNear;
uniform sampler2D uFar;
in vec2 vPlace;
out vec4 fragment;
void main() {
  vec2 at = vPlace * 0.5 + 0.5;
  vec3 light = 0.30 * texture(uNear, at).rgb + 0.26 * texture(uFar, at).rgb;
  fragment = vec4(light * 0.9, 1.0);
}
`;
