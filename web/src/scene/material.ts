import { GLSL3, RawShaderMaterial, type IUniform, type ShaderMaterialParameters } from "three";

export type Uniforms = Record<string, IUniform>;

export const material = (
  vertexShader: string,
  fragmentShader: string,
  uniforms: Uniforms,
  more: ShaderMaterialParameters = {},
): RawShaderMaterial =>
  new RawShaderMaterial({ vertexShader, fragmentShader, uniforms, glslVersion: GLSL3, ...more });
